import SystemPackage

/// What a memory device keeps of a buffer beside its file.
///
/// Owner and mode are here and not the file's own, which is the server's alone: whoever has been
/// given a descriptor can't open the file again, change its mode, its times or its attributes, or
/// take a lease on it; and a chmod(2) does not wait for a client who holds the file's lock.
struct MemoryRecord: Sendable, Equatable {
    var traits: BufferTraits
    var owner: Ownership
    /// When owner or mode was last changed; nil for never.
    var changed: Timestamp?

    init(traits: BufferTraits, owner: Ownership) {
        self.traits = traits
        self.owner = owner
    }

    // MARK: The text of a link

    /// The number of the buffer and numbers for all that is kept. 127 bytes hold the longest: a link that
    /// is longer takes a page of the device. mm/shmem.c, SHORT_SYMLINK_LEN
    func line(of id: BufferID) -> String {
        let owner = "\(traits.owner.number) \(traits.ownerStart)"
        return "\(id.number) \(traits.heap.rawValue) \(traits.direction.rawValue)"
            + " \(traits.lease == .process ? 1 : 0) \(owner)"
            + " \(self.owner.uid) \(self.owner.gid) \(self.owner.mode)"
            + (changed.map { " \($0.seconds) \($0.nanoseconds)" } ?? "")
    }

    /// Of such a line without its first word.
    init?(line: Substring) {
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 8 || words.count == 10,
            let heap = Int(words[0]).flatMap(Heap.init),
            let direction = Int(words[1]).flatMap(Direction.init),
            words[2] == "0" || words[2] == "1",
            let owner = Int32(words[3]), let start = UInt64(words[4]),
            let uid = UInt32(words[5]), let gid = UInt32(words[6]),
            let mode = UInt32(words[7]), mode & ~0o777 == 0
        else { return nil }
        self.init(
            traits: BufferTraits(
                heap: heap, direction: direction, lease: words[2] == "1" ? .process : .none,
                owner: ProcessID(owner), ownerStart: start),
            owner: Ownership(uid: uid, gid: gid, mode: mode))
        guard words.count == 10 else { return }
        guard let seconds = Int(words[8]), let rest = Int(words[9]) else { return nil }
        changed = Timestamp(seconds: seconds, nanoseconds: rest)
    }

    // MARK: As earlier versions kept it: `KEY=VALUE ...`

    var text: String {
        traits.text + " uid=\(owner.uid) gid=\(owner.gid) mode=\(owner.mode)"
            + (changed.map { " changed=\($0.seconds).\($0.nanoseconds)" } ?? "")
    }

    init?(text: String) {
        let keys: Set = [
            "heap", "direction", "lease", "owner", "start", "uid", "gid", "mode", "changed",
        ]
        guard
            let fields = try? (try Words(text[...])).options(keys),
            let traits = BufferTraits(fields: fields),
            let uid = fields["uid"].flatMap({ UInt32($0) }),
            let gid = fields["gid"].flatMap({ UInt32($0) }),
            let mode = fields["mode"].flatMap({ UInt32($0) }), mode & ~0o777 == 0
        else { return nil }
        self.init(traits: traits, owner: Ownership(uid: uid, gid: gid, mode: mode))
        guard let changed = fields["changed"]?.split(separator: ".") else { return }
        guard changed.count == 2, let seconds = Int(changed[0]), let rest = Int(changed[1])
        else { return nil }
        self.changed = Timestamp(seconds: seconds, nanoseconds: rest)
    }
}

extension BufferTraits {
    /// As kept with a buffer.
    var text: String {
        "heap=\(heap.name) direction=\(direction.name) lease=\(lease.rawValue)"
            + " owner=\(owner.number) start=\(ownerStart)"
    }

    init?(text: String) {
        let keys: Set = ["heap", "direction", "lease", "owner", "start"]
        guard let fields = try? (try Words(text[...])).options(keys) else { return nil }
        self.init(fields: fields)
    }

    fileprivate init?(fields: [String: Substring]) {
        guard let heap = fields["heap"].flatMap({ Heap(name: $0) }),
            let direction = fields["direction"].flatMap({ Direction(name: $0) }),
            let lease = fields["lease"].flatMap({ Lease(rawValue: String($0)) }),
            let owner = fields["owner"].flatMap({ Int32($0) }),
            let start = fields["start"].flatMap({ UInt64($0) })
        else { return nil }
        self.init(
            heap: heap, direction: direction, lease: lease, owner: ProcessID(owner),
            ownerStart: start)
    }
}
