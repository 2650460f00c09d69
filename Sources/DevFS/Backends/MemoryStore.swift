import CFuse
import Glibc
import Synchronization
import SystemPackage

/// The files of a memory device.
///
/// A buffer is a file in `buffers/`; its number is the inode number, which tmpfs does not give out
/// twice. Owner, mode, times, size and bytes are the file's own. What a file can't say is the text
/// of a symbolic link in `traits/`: it takes no page of the limit, is replaced in one step, and
/// needs neither xattr support nor privilege.
final class MemoryStore: Sendable {
    private let buffers: Descriptor
    private let traits: Descriptor
    private let root: Descriptor
    /// Where the tmpfs is the device's own, it keeps the limit; else `quota` does, and is held
    /// over every change of a size.
    private let isPrivate: Bool
    private let quota: Mutex<Quota>

    private struct Quota {
        var limit: UInt64 = 0
        /// Bytes that each file has, open ones without a name included.
        var charged: [UInt64: UInt64] = [:]
        private(set) var used: UInt64 = 0

        mutating func charge(_ file: FileStatus) {
            forget(file.inode)
            charged[file.inode] = file.allocated
            used += file.allocated
        }

        mutating func forget(_ inode: UInt64) {
            used -= charged.removeValue(forKey: inode) ?? 0
        }

        /// Bytes that a file can have at the most.
        func room(for inode: UInt64) -> UInt64 {
            limit - min(limit, used - (charged[inode] ?? 0))
        }
    }

    static let page: UInt64 = 4096
    private static let limitFile = "limit"

    static func pages(_ size: UInt64) -> UInt64 { (size + page - 1) / page * page }

    /// - Parameter limit: bytes, for a store that is not a tmpfs of its own; nil keeps what it was.
    init(_ device: MemoryDevice, isPrivate: Bool, limit: UInt64? = nil) throws(Errno) {
        root = try Syscalls.open(device.data, flags: O_RDONLY | O_DIRECTORY)
        try Syscalls.makeDirectory("buffers", at: root.raw, mode: 0o700)
        try Syscalls.makeDirectory("traits", at: root.raw, mode: 0o700)
        buffers = try Syscalls.open("buffers", at: root.raw, flags: O_RDONLY | O_DIRECTORY)
        traits = try Syscalls.open("traits", at: root.raw, flags: O_RDONLY | O_DIRECTORY)
        self.isPrivate = isPrivate
        guard !isPrivate else {
            quota = Mutex(Quota())
            return
        }
        var quota = Quota()
        for name in try Syscalls.names(in: buffers.raw) {
            if let status = try? Syscalls.status(of: name, at: buffers.raw) { quota.charge(status) }
        }
        let kept = (try? Syscalls.link(Self.limitFile, at: root.raw)).flatMap { UInt64($0) }
        quota.limit = limit ?? kept ?? MemoryDevice.defaultSize
        guard limit == nil || quota.used <= quota.limit else { throw .resourceBusy }
        if quota.limit != kept {
            try Syscalls.setLink(Self.limitFile, to: "\(quota.limit)", at: root.raw)
        }
        self.quota = Mutex(quota)
    }

    func space() throws(Errno) -> SpaceStatus {
        var space = try Syscalls.space(of: root.raw)
        if !isPrivate {
            (space.size, space.free) = quota.withLock {
                ($0.limit, $0.limit - min($0.used, $0.limit))
            }
        }
        return space
    }

    func count() throws(Errno) -> Int { try Syscalls.names(in: buffers.raw).count }

    /// All buffers at the start of a server; what one that died halfway left over is cleaned up.
    func adopt() throws(Errno) -> [BufferDescription] {
        let found = try list()
        var stale = Set(try Syscalls.names(in: traits.raw))
        for buffer in found { stale.remove("\(buffer.id.number)") }
        for name in stale { try Syscalls.unlink(name, at: traits.raw) }
        return found
    }

    private func list() throws(Errno) -> [BufferDescription] {
        var found: [BufferDescription] = []
        for text in try Syscalls.names(in: buffers.raw) {
            // A file that went since the names were read is none.
            guard let name = Name(text),
                let number = try? Syscalls.status(of: text, at: buffers.raw).inode
            else { continue }
            let kept = try? Syscalls.link("\(number)", at: traits.raw)
            found.append(
                BufferDescription(
                    id: BufferID(number), name: name,
                    traits: kept.flatMap(BufferTraits.init(text:)) ?? BufferTraits(heap: .system)))
        }
        return found
    }

    /// The memory of a removed file is gone.
    func free(_ id: BufferID) {
        quota.withLock { $0.forget(id.number) }
    }

    /// Runs what changes the memory of an open file, with the bytes that it may have at the most.
    private func changing<T>(
        _ descriptor: CInt, _ change: (UInt64) throws(Errno) -> T
    ) throws(Errno) -> T {
        guard !isPrivate else {
            let space = try space()
            return try change(try Syscalls.status(of: descriptor).allocated + space.free)
        }
        let result: Result<T, Errno> = quota.withLock { quota in
            do throws(Errno) {
                let room = quota.room(for: try Syscalls.status(of: descriptor).inode)
                defer {
                    if let status = try? Syscalls.status(of: descriptor) { quota.charge(status) }
                }
                return .success(try change(room))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// A buffer comes into being whole: the file has no name until all else is done.
    func make(
        _ name: Name, size: UInt64, traits: BufferTraits, owner: Ownership
    ) throws(Errno) -> BufferID {
        guard (try? Syscalls.status(of: name.text, at: buffers.raw)) == nil else {
            throw .fileExists
        }
        let file = try Syscalls.open(
            ".", at: buffers.raw, flags: cfuse_o_tmpfile | O_RDWR, mode: 0o600)
        try resize(file.raw, to: size)
        let number = try Syscalls.status(of: file.raw).inode
        var isDone = false
        defer { if !isDone { free(BufferID(number)) } }
        // Only root can give a file away; an ordinary user's server keeps its own.
        if geteuid() == 0 { try Syscalls.setOwner(file.raw, uid: owner.uid, gid: owner.gid) }
        try Syscalls.setMode(file.raw, owner.mode)
        try setTraits(traits, of: BufferID(number))
        do throws(Errno) {
            try Syscalls.link(file.raw, as: name.text, at: buffers.raw)
        } catch {
            try? Syscalls.unlink("\(number)", at: self.traits.raw)
            throw error
        }
        isDone = true
        return BufferID(number)
    }

    func resize(_ descriptor: CInt, to size: UInt64) throws(Errno) {
        guard size <= UInt64(Int64.max) - Self.page else { throw .noSpace }
        try changing(descriptor) { (room) throws(Errno) in
            let old = try Syscalls.status(of: descriptor).size
            guard size > old else { return try Syscalls.truncate(descriptor, to: size) }
            guard Self.pages(size) <= room else { throw .noSpace }
            do throws(Errno) {
                // The last byte first: tmpfs gives huge pages only to what lies within the length.
                // Never by ftruncate, which would cut what a client appends meanwhile.
                try Syscalls.allocate(descriptor, size - 1..<size)
                try Syscalls.allocate(descriptor, old..<size)
            } catch {
                if (try? Syscalls.status(of: descriptor).size) == size {
                    try? Syscalls.truncate(descriptor, to: old)
                }
                throw error
            }
        }
    }

    /// Gives the holes of a range their memory.
    func populate(_ descriptor: CInt, _ range: Range<UInt64>) throws(Errno) {
        try changing(descriptor) { (room) throws(Errno) in
            guard Self.pages(UInt64(range.count)) <= room else { throw .noSpace }
            try Syscalls.allocate(descriptor, range)
        }
    }

    /// A write that may take memory which the file has not got yet.
    func write(
        _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, at offset: UInt64
    ) throws(Errno) -> Int {
        try changing(descriptor) { (room) throws(Errno) in
            // What is skipped has its memory too; then whole, or as much as the limit leaves.
            let old = try Syscalls.status(of: descriptor).size
            guard offset < room else { throw .noSpace }
            if offset > old { try Syscalls.allocate(descriptor, old..<offset) }
            let count = Int(min(UInt64(bytes.count), room - offset))
            return unsafe try Syscalls.write(
                UnsafeRawBufferPointer(rebasing: bytes.prefix(count)), to: descriptor, at: offset)
        }
    }

    func open(_ buffer: BufferDescription, flags: CInt) throws(Errno) -> Descriptor {
        let file = try Syscalls.open(buffer.name.text, at: buffers.raw, flags: flags | O_NOFOLLOW)
        // The name may be another buffer's by now.
        guard try Syscalls.status(of: file.raw).inode == buffer.id.number else {
            throw .noSuchFileOrDirectory
        }
        return file
    }

    func status(of buffer: BufferDescription) throws(Errno) -> FileStatus {
        let status = try Syscalls.status(of: buffer.name.text, at: buffers.raw)
        guard status.inode == buffer.id.number else { throw .noSuchFileOrDirectory }
        return status
    }

    func remove(_ buffer: BufferDescription) throws(Errno) {
        try Syscalls.unlink(buffer.name.text, at: buffers.raw)
        try? Syscalls.unlink("\(buffer.id.number)", at: traits.raw)
    }

    func rename(_ buffer: BufferDescription, to name: Name, flags: RenameFlags) throws(Errno) {
        try Syscalls.rename(buffer.name.text, to: name.text, at: buffers.raw, flags: flags)
    }

    func setTraits(_ traits: BufferTraits, of id: BufferID) throws(Errno) {
        try Syscalls.setLink("\(id.number)", to: traits.text, at: self.traits.raw)
    }

    func forgetTraits(of id: BufferID) {
        try? Syscalls.unlink("\(id.number)", at: traits.raw)
    }

    /// Bytes of the named buffers of each heap.
    func usage() throws(Errno) -> [Heap: UInt64] {
        var usage: [Heap: UInt64] = [:]
        for buffer in try list() {
            usage[buffer.traits.heap, default: 0] += (try? status(of: buffer))?.allocated ?? 0
        }
        return usage
    }

    /// Empties a store that is not a tmpfs of its own.
    func removeAll() throws(Errno) {
        for name in try Syscalls.names(in: buffers.raw) {
            try Syscalls.unlink(name, at: buffers.raw)
        }
        for name in try Syscalls.names(in: traits.raw) {
            try Syscalls.unlink(name, at: traits.raw)
        }
        try? Syscalls.unlink(Self.limitFile, at: root.raw)
        for directory in ["buffers", "traits"] {
            try check { unsafe unlinkat(root.raw, directory, AT_REMOVEDIR) }
        }
    }
}

extension BufferTraits {
    /// As kept in `traits/`.
    var text: String {
        "heap=\(heap.name) direction=\(direction.name) lease=\(lease.rawValue)"
            + " owner=\(owner.number) start=\(ownerStart)"
    }

    init?(text: String) {
        guard
            let fields = try? (try Words(text[...])).options([
                "heap", "direction", "lease", "owner", "start",
            ]),
            let heap = fields["heap"].flatMap({ Heap(name: $0) }),
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
