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
    /// Where the tmpfs is the device's own, it keeps the limit; else `quota` does.
    private let isPrivate: Bool
    private let quota: Mutex<Quota>

    private struct Quota {
        var limit: UInt64 = 0
        /// Whole pages of all files, open ones without a name included.
        var used: UInt64 = 0
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
        var used: UInt64 = 0
        for name in try Syscalls.names(in: buffers.raw) {
            used += Self.pages(try Syscalls.status(of: name, at: buffers.raw).size)
        }
        let kept = (try? Syscalls.link(Self.limitFile, at: root.raw)).flatMap { UInt64($0) }
        let now = limit ?? kept ?? MemoryDevice.defaultSize
        guard used <= now else { throw .resourceBusy }
        if now != kept { try Syscalls.setLink(Self.limitFile, to: "\(now)", at: root.raw) }
        quota = Mutex(Quota(limit: now, used: used))
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
            guard let name = Name(text) else { continue }
            let number = try Syscalls.status(of: text, at: buffers.raw).inode
            let kept = try? Syscalls.link("\(number)", at: traits.raw)
            found.append(
                BufferDescription(
                    id: BufferID(number), name: name,
                    traits: kept.flatMap(BufferTraits.init(text:)) ?? BufferTraits(heap: .system)))
        }
        return found
    }

    /// Takes pages from the limit before they are allocated.
    private func reserve(from old: UInt64, to new: UInt64) throws(Errno) {
        guard !isPrivate else { return }
        let fits = quota.withLock { quota in
            let used = quota.used - Self.pages(old) + Self.pages(new)
            guard used <= quota.limit || new <= old else { return false }
            quota.used = used
            return true
        }
        guard fits else { throw .noSpace }
    }

    func giveBack(_ bytes: UInt64) {
        quota.withLock { $0.used -= min($0.used, Self.pages(bytes)) }
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
        var isDone = false
        defer { if !isDone { giveBack(size) } }
        // Only root can give a file away; an ordinary user's server keeps its own.
        if geteuid() == 0 { try Syscalls.setOwner(file.raw, uid: owner.uid, gid: owner.gid) }
        try Syscalls.setMode(file.raw, owner.mode)
        let number = try Syscalls.status(of: file.raw).inode
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
        let old = try Syscalls.status(of: descriptor).size
        guard size != old else { return }
        guard size > old else {
            try Syscalls.truncate(descriptor, to: size)
            giveBack(Self.pages(old) - Self.pages(size))
            return
        }
        guard size <= UInt64(Int64.max) - Self.page else { throw .noSpace }
        let space = try space()
        guard Self.pages(size) - Self.pages(old) <= space.free else { throw .noSpace }
        try reserve(from: old, to: size)
        do throws(Errno) {
            // The length first: tmpfs gives huge pages only to what lies within it.
            try Syscalls.truncate(descriptor, to: size)
            try Syscalls.allocate(descriptor, old..<size)
        } catch {
            try? Syscalls.truncate(descriptor, to: old)
            giveBack(Self.pages(size) - Self.pages(old))
            throw error
        }
    }

    func write(
        _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, at offset: UInt64
    ) throws(Errno) -> Int {
        guard !isPrivate else {
            return unsafe try Syscalls.write(bytes, to: descriptor, at: offset)
        }
        let old = try Syscalls.status(of: descriptor).size
        let end = offset + UInt64(bytes.count)
        guard end > old else {
            return unsafe try Syscalls.write(bytes, to: descriptor, at: offset)
        }
        // Whole or as much of it as the limit leaves room for.
        let room = try space().free + Self.pages(old)
        let fitting = min(end, room)
        guard fitting > offset else { throw .noSpace }
        try reserve(from: old, to: fitting)
        let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<Int(fitting - offset)])
        let done = unsafe (try? Syscalls.write(part, to: descriptor, at: offset)) ?? 0
        let reached = max(old, offset + UInt64(done))
        if reached < fitting { giveBack(Self.pages(fitting) - Self.pages(reached)) }
        guard done > 0 else { throw .noSpace }
        return done
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

    /// Bytes of the named buffers of each heap, in whole pages.
    func usage() throws(Errno) -> [Heap: UInt64] {
        var usage: [Heap: UInt64] = [:]
        for buffer in try list() {
            usage[buffer.traits.heap, default: 0] += Self.pages(
                (try? status(of: buffer))?.size ?? 0)
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
