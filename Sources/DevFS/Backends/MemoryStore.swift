import CFuse
import Glibc
import Synchronization
import SystemPackage

/// The files of a memory device.
///
/// A buffer is a file, `files/NUMBER/data` (size, bytes and times are its own), and a
/// symbolic link in `buffers/`, named as the buffer is, whose text is the number and the rest: it takes
/// no page of the limit, is made and replaced in one step, and needs neither xattr support nor
/// privilege.
///
/// A client who has a descriptor of the file can hold its lock for ever, by a write from memory that
/// never comes. So names are those of links, which no client has: to make, rename and remove one takes
/// no lock of the file (fs/namei.c, vfs_rename). And each file has a directory of its own, as unlink(2)
/// holds the lock of the directory while it waits for that of the file. MemoryStore+Names.swift has these.
final class MemoryStore: Sendable {
    let root: Descriptor
    /// Of `root`.
    private let path: String
    let buffers: Descriptor
    /// Links that are to replace one in `buffers/`.
    let fresh: Descriptor
    /// The memory, by number; what has no name any more is there until `discard`.
    let files: Descriptor
    /// `root` by a mount that can't be written: what is opened by it nobody opens again for writing,
    /// not even root.
    private let sealed: SharedDescriptor?
    /// Before the name of whatever this store puts in `new/`.
    let nonce = UInt64.random(in: 1...UInt64.max)
    let count = Atomic<UInt64>(0)

    let numbers = MemoryNumbers()
    let owners = Mutex(MemoryOwners())
    private let usages = Together<[Heap: UInt64]>()
    /// Held while a name or a record changes, over system calls that wait for no client.
    let changes = Mutex(())

    /// Where the tmpfs is the device's own, it keeps the limit; else `quota` does.
    let isPrivate: Bool
    let quota: Mutex<MemoryQuota>
    let memory: MemoryLimit

    /// In a buffer's directory.
    static let file = "data"
    /// In that of earlier versions.
    static let traits = "traits"
    static let limitFile = "limit"
    /// In a buffer's directory, a link: where it is in the device's address space.
    static let place = "dma"

    /// - Parameter limit: bytes, for a store that is not a tmpfs of its own; nil keeps what it was.
    /// - Parameters:
    ///   - serves: its server's store, not a look at one that another server may have.
    ///   - makes: what is missing of it. One that only looks must not: what it makes in a directory
    ///     may be below a tmpfs a moment later.
    init(
        _ device: MemoryDevice, isPrivate: Bool, limit: UInt64? = nil, serves: Bool = false,
        makes: Bool = false, memory: MemoryLimit = MemoryLimit()
    ) throws(Errno) {
        path = device.data
        root = try Syscalls.open(path, flags: O_RDONLY | O_DIRECTORY)
        if serves || makes {
            for name in ["buffers", "new", "files"] {
                try Syscalls.makeDirectory(name, at: root.raw, mode: 0o700)
            }
        }
        buffers = try Syscalls.open("buffers", at: root.raw, flags: O_RDONLY | O_DIRECTORY)
        fresh = try Syscalls.open("new", at: root.raw, flags: O_RDONLY | O_DIRECTORY)
        files = try Syscalls.open("files", at: root.raw, flags: O_RDONLY | O_DIRECTORY)
        sealed = serves && isPrivate ? try? Syscalls.readOnlyClone(of: root.raw) : nil
        self.isPrivate = isPrivate
        self.memory = memory
        guard !isPrivate else {
            quota = Mutex(MemoryQuota())
            return
        }
        var quota = MemoryQuota()
        for name in try Syscalls.names(in: buffers.raw) {
            if let status = try? Self.status(ofOld: name, at: buffers.raw) {
                quota.charge(status)
                quota.note(status.inode, of: BufferID(status.inode))
            }
        }
        for name in try Syscalls.names(in: files.raw) {
            if let status = try? Syscalls.status(of: "\(name)/\(Self.file)", at: files.raw) {
                quota.charge(status)
                if let id = UInt64(name) { quota.note(status.inode, of: BufferID(id)) }
            }
        }
        let kept = (try? Syscalls.link(Self.limitFile, at: root.raw)).flatMap { UInt64($0) }
        quota.limit = limit ?? kept ?? MemoryDevice.defaultSize
        guard limit == nil || quota.used <= quota.limit else { throw .resourceBusy }
        if serves && quota.limit != kept {
            try Syscalls.setLink(Self.limitFile, to: "\(quota.limit)", at: root.raw)
        }
        self.quota = Mutex(quota)
    }

    /// Of a buffer's file in `files/`.
    static func path(_ id: BufferID) -> String { "\(id.number)/\(file)" }

    func space() throws(Errno) -> SpaceStatus {
        var space = try Syscalls.space(of: root.raw)
        if !isPrivate {
            space.below = space.free
            (space.size, space.free) = quota.withLock {
                ($0.limit, $0.free)
            }
        }
        return space
    }

    /// Which limit a buffer of `size` bytes has met, after it was refused.
    func spaceReason(_ size: UInt64) -> String {
        guard let own = try? space(), let below = try? Syscalls.space(of: root.raw) else {
            return "\(size) bytes: the device's file system can't be asked"
        }
        // A file and a link; a file system that counts none says 0.
        if below.files > 0 && below.freeFiles < 2 {
            return "no file is left on the file system of \(path), which has \(below.files)"
        }
        let limit = "size=\(Number.human(own.size)), free \(own.free) bytes"
        if own.available < own.free && size <= own.free {
            return "\(size) bytes are more than the file system of \(path) has: \(below.size) "
                + "bytes, free \(below.free); the heap limit is not met: \(limit)"
        }
        return "\(size) bytes are more than the heap limit leaves: \(limit)"
    }

    /// Names on the device, whoever gave them.
    func nameCount() throws(Errno) -> Int { try Syscalls.names(in: buffers.raw).count }

    /// The memory of a removed file is gone.
    func free(_ id: BufferID) {
        quota.withLock { $0.forget(id) }
        owners.withLock { $0.forget(id) }
    }

    /// Runs what gives an open file at most `growth` more bytes of memory, with the bytes that it
    /// may have in all.
    private func changing<T>(
        _ descriptor: CInt, _ status: FileStatus, _ growth: UInt64,
        _ change: (UInt64) throws(Errno) -> T
    ) throws(Errno) -> T {
        guard !isPrivate else {
            let room = status.allocated + (try space().free)
            return try memory.admitting(min(growth, room)) { () throws(Errno) in try change(room) }
        }
        let (room, share) = quota.withLock { $0.reserve(growth, for: status.inode) }
        defer {
            quota.withLock { $0.settle(share, try? Syscalls.status(of: descriptor)) }
        }
        return try memory.admitting(share) { () throws(Errno) in try change(room) }
    }

    /// Bytes that a file takes at the most when it is full up to `end`.
    private static func growth(_ status: FileStatus, to end: UInt64) -> UInt64 {
        let bytes = max(status.size, end).wholePages
        return bytes - min(bytes, status.allocated)
    }

    /// Why memory is refused that the limit of the device leaves.
    var memoryReason: String {
        guard let room = memory.room() else { return "the machine has no memory left" }
        return "the server's memory cgroup \(room.cgroup) leaves \(room.bytes) bytes"
    }

    /// May wait for a client who holds the file's lock.
    func resize(_ descriptor: CInt, to size: UInt64) throws(Errno) {
        guard size <= UInt64(Int64.max) - UInt64.page else { throw .noSpace }
        let status = try Syscalls.status(of: descriptor)
        let old = status.size
        try changing(descriptor, status, Self.growth(status, to: size)) { (room) throws(Errno) in
            guard size > old else { return try Syscalls.truncate(descriptor, to: size) }
            guard size.wholePages <= room else { throw .noSpace }
            do throws(Errno) {
                // The last byte first: tmpfs gives huge pages only to what lies within the length.
                // Never by ftruncate, which would cut what a client appends meanwhile.
                if size - old > UInt64.page {
                    try Syscalls.allocate(descriptor, size - 1..<size)
                }
                try Syscalls.allocate(descriptor, old..<size)
            } catch {
                if (try? Syscalls.status(of: descriptor).size) == size {
                    try? Syscalls.truncate(descriptor, to: old)
                }
                throw error
            }
        }
    }

    /// Gives the holes of a range their memory. May wait for a client who holds the file's lock.
    func populate(_ descriptor: CInt, _ range: Range<UInt64>) throws(Errno) {
        let status = try Syscalls.status(of: descriptor)
        let growth = min(
            Self.growth(status, to: range.upperBound), UInt64(range.count).wholePages + UInt64.page)
        try changing(descriptor, status, growth) { (room) throws(Errno) in
            guard UInt64(range.count).wholePages <= room else { throw .noSpace }
            try Syscalls.allocate(descriptor, range)
        }
    }

    /// A write that may take memory which the file has not got yet. May wait for a client who holds
    /// the file's lock.
    func write(
        _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, at offset: UInt64
    ) throws(Errno) -> Int {
        let status = try Syscalls.status(of: descriptor)
        let old = status.size
        let (end, isHuge) = offset.addingReportingOverflow(UInt64(bytes.count))
        guard !isHuge else { throw .noSpace }
        let growth = Self.growth(status, to: end)
        return try changing(descriptor, status, growth) { (room) throws(Errno) in
            // What is skipped has its memory too; then whole, or as much as the limit leaves.
            guard offset < room else { throw .noSpace }
            if offset > old { try Syscalls.allocate(descriptor, old..<offset) }
            let count = Int(min(UInt64(bytes.count), room - offset))
            return unsafe try Syscalls.write(
                UnsafeRawBufferPointer(rebasing: bytes.prefix(count)), to: descriptor, at: offset)
        }
    }

    /// Never waits: not for a lease that whoever has a descriptor took on the file.
    /// - Throws: EBUSY as long as there is such a lease.
    func open(_ buffer: BufferDescription, flags: CInt) throws(Errno) -> Descriptor {
        let file: Descriptor
        do throws(Errno) {
            // One that was freed is not known: its file may be there for a moment.
            if owners.withLock({ $0[buffer.id] == nil || $0.isUnnamed(buffer.id) }) {
                throw .noSuchFileOrDirectory
            }
            let path = "files/\(Self.path(buffer.id))"
            let flags = flags | O_NOFOLLOW | O_NONBLOCK
            if flags & O_ACCMODE == O_RDONLY, let sealed = sealed?.raw {
                file = try Syscalls.open(path, at: sealed, flags: flags)
            } else {
                file = try Syscalls.open(path, at: root.raw, flags: flags)
            }
        } catch .wouldBlock {
            throw .resourceBusy
        }
        return file
    }

    func status(of buffer: BufferDescription) throws(Errno) -> FileStatus {
        let status = try Syscalls.status(of: Self.path(buffer.id), at: files.raw)
        return try owners.withLock { (owners) throws(Errno) in
            if owners.isUnnamed(buffer.id) { throw .noSuchFileOrDirectory }
            return owners.present(status, buffer.id) ?? status
        }
    }

    /// A status of the buffer's file as that of the buffer.
    func present(_ status: FileStatus, _ id: BufferID) -> FileStatus {
        owners.withLock { $0.present(status, id) } ?? status
    }

    /// Bytes of the named buffers of each heap, but for the system heap, which has the rest.
    func usage() throws(Errno) -> [Heap: UInt64] {
        try usages.get { () throws(Errno) in
            var usage: [Heap: UInt64] = [:]
            for buffer in try list() where buffer.traits.heap != .system {
                usage[buffer.traits.heap, default: 0] += (try? status(of: buffer))?.allocated ?? 0
            }
            return usage
        }
    }
}
