import SystemPackage

/// What a server that died left mounted, with what others made of it.
struct DeadMounts {
    private let table: [MountEntry]
    private let dead: [MountEntry]

    /// - Parameter source: as the table has it; nobody serves it now.
    init(of source: String) throws(SetupError) {
        table = try MountEntry.table()
        dead = table.filter { $0.isOurs && $0.source == source && $0.isDead }
    }

    /// Takes them away.
    ///
    /// - Parameters:
    ///   - attempt: what that is done for.
    ///   - onto: where the device will be mounted next.
    ///   - tell: is called for each of them.
    /// - Throws: EBUSY where a user has a bind mount of the tree, or has mounted something below it.
    ///   If it went, his writes would go to the directory that it covers.
    func remove(
        for attempt: String, onto: String? = nil, _ tell: (MountEntry) -> Void = { _ in }
    ) throws(SetupError) {
        let others = others(onto)
        guard others.isEmpty else {
            throw SetupError(
                attempt, .resourceBusy,
                hint: "the server of \(dead[0].source) has died, " + remedy(for: others))
        }
        // Where one is seen in several places at once, it goes from all of them.
        for mount in dead where mount.isDead {
            tell(mount)
            try mount.unmountDead()
        }
    }

    private func remedy(for others: [MountEntry]) -> String {
        let places = others.map(\.mountpoint.shellQuoted).joined(separator: " ")
        // No path leads to what is mounted on a dead tree: umount(8) can't take it away by itself.
        let below = others.compactMap { mount in dead.first { $0.id == mount.parentID } }
        guard let tree = below.first else {
            return
                "and its tree is mounted elsewhere, too: run umount \(places), mount the device, "
                + "then bind it again"
        }
        return "and \(places) is mounted on its tree: run devfs unmount --lazy "
            + "\(tree.mountpoint.shellQuoted), which takes both away, then mount both again"
    }

    /// Bind mounts of the tree, and mounts on its directories.
    private func others(_ onto: String?) -> [MountEntry] {
        var found: [MountEntry] = []
        for (_, group) in Dictionary(grouping: dead, by: \.device) {
            let whole = group.filter { $0.root == "/" }
            guard let first = whole.first(where: { $0.mountpoint == onto }) ?? whole.first else {
                found += group
                continue
            }
            found += group.filter {
                $0.mountpoint != first.mountpoint && covered(by: $0) != covered(by: first)
            }
        }
        let ids = Set(dead.map(\.id))
        found += table.filter { mount in ids.contains(mount.parentID) && !ids.contains(mount.id) }
        return found.sorted { $0.mountpoint < $1.mountpoint }
    }

    /// The directory that a mount hides. A mount appears in several places where what it is mounted
    /// in does, by propagation: it hides one directory in all of them. `mount_namespaces(7)`
    private func covered(by mount: MountEntry) -> [String] {
        guard let parent = table.first(where: { $0.id == mount.parentID }) else {
            return ["", mount.mountpoint]
        }
        let prefix = parent.mountpoint == "/" ? 0 : parent.mountpoint.count
        let name = mount.mountpoint.dropFirst(prefix)
        return [parent.device, parent.root == "/" ? String(name) : parent.root + name]
    }
}

extension MountEntry {
    /// Takes away the mounts of a device whose server has died, but for those that others use.
    /// - Parameter source: as the table has it; nobody serves it now.
    package static func removeDead(of source: String) throws(SetupError) {
        try DeadMounts(of: source).remove(for: "unmounting \(source)")
    }
}
