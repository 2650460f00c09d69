import CFuse
import Glibc
import SystemPackage

/// A FUSE mount that root made on a descriptor, where libfuse and fusermount3 go by a path that
/// a user may lead elsewhere in between.
///
/// Nothing of it is kept open: that would make `umount` fail with EBUSY.
struct KernelMount: MountState {
    let id: UInt64
    /// Its file system, which lasts as long as the connection: with it the number of the mount
    /// can't be another's.
    let device: String?
    private let source: String
    /// The name that it is mounted on, which stays as long as it is mounted there, whatever becomes
    /// of the path: rename(2) and unlink(2) of it in this mount namespace are EBUSY.
    private let anchor: (directory: SharedDescriptor, name: String)?

    /// `/dev/fuse`, where the requests of one mount will come from.
    static func connection() throws(SetupError) -> Descriptor {
        do throws(Errno) {
            return try Syscalls.open("/dev/fuse", flags: O_RDWR)
        } catch {
            throw SetupError("opening /dev/fuse", error, hint: "devfs doctor says what is missing")
        }
    }

    /// Mounts.
    ///
    /// - Parameter connection: of `/dev/fuse`, and of no other mount.
    init(
        connection: CInt, source: String, on place: Place, options: MountOptions
    ) throws(SetupError) {
        self.source = source
        anchor = place.parent.map { ($0, place.name) }
        let attempt = "mounting \(source) on \(place.path)"
        let help = "devfs doctor says what is missing"
        let context: MountContext
        do throws(Errno) {
            context = try MountContext(of: "fuse")
        } catch {
            throw SetupError(attempt, error, hint: help)
        }
        do throws(Errno) {
            let values = [
                ("source", source), ("subtype", "devfs"), ("fd", "\(connection)"),
                // S_IFDIR, octal.
                ("rootmode", "40000"), ("user_id", "\(getuid())"), ("group_id", "\(getgid())"),
            ]
            for (key, value) in values { try context.set(key, value) }
            for flag in options.superblockFlags { try context.set(flag) }
            let mount = try context.mount(attributes: options.mountAttributes)
            let id = try Syscalls.mountID(of: mount.raw)
            try Syscalls.move(mount.raw, to: place.directory.raw)
            self.id = id
            // Still held, so that the number is its own.
            device = withExtendedLifetime(mount) {
                (try? MountEntry.all())?.first { $0.id == id }?.device
            }
        } catch {
            throw SetupError(attempt, error, hint: context.message ?? help)
        }
    }

    /// One that an earlier server has made, which is looked at no closer: whatever is asked of it waits
    /// for this server.
    init(_ kept: Ledger.MountRecord) {
        id = kept.id
        device = kept.device.isEmpty ? nil : kept.device
        source = kept.source
        let (parent, name) =
            kept.path.lastIndex(of: "/").map {
                (kept.path[..<$0], kept.path[kept.path.index(after: $0)...])
            } ?? ("", "")
        let directory = try? Syscalls.open(
            parent.isEmpty ? "/" : String(parent), flags: cfuse_o_path | O_DIRECTORY)
        if let directory, !name.isEmpty {
            anchor = (SharedDescriptor(directory), String(name))
        } else {
            anchor = nil
        }
    }

    /// It, or its file system, can't be written.
    /// - Returns: nil where it is in this mount namespace no longer.
    var isReadOnly: Bool? {
        (try? MountEntry.all())?.first(where: isThis)?.flags.contains("ro")
    }

    /// Takes it away where it still is, with what was mounted on it. Lazily: whoever uses it finds
    /// that its server has ended.
    func remove() throws(Errno) {
        // Each turn takes one that lies on top, or ours.
        for _ in 0..<100 {
            let table = try MountEntry.all()
            guard let own = table.first(where: isThis) else { return }
            guard let top = try top(of: own, table) else { continue }
            try Syscalls.detach(top)
        }
        throw .resourceBusy
    }

    /// The root of what is visible where ours is mounted; nil where it was moved meanwhile.
    private func top(of own: MountEntry, _ table: [MountEntry]) throws(Errno) -> SharedDescriptor? {
        let isThere = { (mount: UInt64) in
            table.first { $0.id == mount }?.mountpoint == own.mountpoint
        }
        // From another mount namespace the name can be taken away or changed all the same.
        if let anchor,
            let root = try? Syscalls.open(
                anchor.name, at: anchor.directory.raw, flags: cfuse_o_path | O_NOFOLLOW),
            isThere(try Syscalls.mountID(of: root.raw))
        {
            return SharedDescriptor(root)
        }
        // Root has moved it (`mount --move`), or there was no name.
        do throws(Place.Failure) {
            let place = try Place.find(own.mountpoint, followsLinks: false)
            return isThere(place.mount) ? place.directory : nil
        } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw error.errno
        }
    }

    private func isThis(_ mount: MountEntry) -> Bool {
        mount.id == id && mount.isOurs && mount.source == source
            && device.map { $0 == mount.device } ?? true
    }
}

extension MountOptions {
    /// Flags of the file system, as fsconfig(2) takes them.
    var superblockFlags: [String] {
        ["default_permissions"] + (allowOther ? ["allow_other"] : []) + (readOnly ? ["ro"] : [])
            + kernelOptions.filter { $0 == "sync" || $0 == "dirsync" }
    }

    private static let attributes = [
        "ro": CFUSE_MOUNT_RDONLY, "nosuid": CFUSE_MOUNT_NOSUID, "nodev": CFUSE_MOUNT_NODEV,
        "noexec": CFUSE_MOUNT_NOEXEC, "noatime": CFUSE_MOUNT_NOATIME,
    ]

    /// Attributes of the mount, as fsmount(2) takes them.
    var mountAttributes: UInt32 {
        MountFlags.applying(kernelOptions).reduce(readOnly ? CFUSE_MOUNT_RDONLY : 0) {
            $0 | (Self.attributes[$1] ?? 0)
        }
    }
}
