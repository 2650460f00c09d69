import CFuse
import Glibc
import SystemPackage

/// Names. Whatever is done here, except by `discard`, takes locks of directories only: no client
/// can make it wait.
extension MemoryStore {
    /// The status of a buffer's file, of earlier versions' too, where it was `buffers/NAME` itself.
    static func status(ofFile name: String, at directory: CInt) throws(Errno) -> FileStatus {
        do throws(Errno) {
            return try Syscalls.status(of: "\(name)/\(file)", at: directory)
        } catch .notDirectory {
            return try Syscalls.status(of: name, at: directory)
        }
    }

    /// A name in `new/` that nobody else has.
    private func place() -> String {
        "\(nonce)-\(count.add(1, ordering: .relaxed).newValue)"
    }

    /// A buffer comes into being whole: its directory has no name in `buffers/` until all is done.
    func make(
        _ name: Name, size: UInt64, traits: BufferTraits, owner: Ownership
    ) throws(Errno) -> BufferID {
        let place = place()
        try Syscalls.makeFreshDirectory(place, at: fresh.raw)
        var made: BufferID?
        var isDone = false
        defer {
            if !isDone {
                Self.clear(place, at: fresh.raw)
                if let made { free(made) }
            }
        }
        let file = try Syscalls.open(
            "\(place)/\(Self.file)", at: fresh.raw,
            flags: O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_NONBLOCK, mode: 0o600)
        let id = BufferID(try Syscalls.status(of: file.raw).inode)
        made = id
        if size > 0 { try resize(file.raw, to: size) }
        let record = MemoryRecord(traits: traits, owner: owner)
        try Syscalls.makeLink("\(place)/\(Self.traits)", to: record.text, at: fresh.raw)
        try changing { () throws(Errno) in
            try Syscalls.rename(
                place, at: fresh.raw, to: name.text, at: buffers.raw, flags: .noReplace)
            owners.withLock { $0.set(record, of: id) }
        }
        isDone = true
        return id
    }

    private func changing(_ body: () throws(Errno) -> Void) throws(Errno) {
        try changes.withLock { (_) throws(Errno) in try body() }
    }

    func remove(_ buffer: BufferDescription) throws(Errno) {
        try changing { () throws(Errno) in
            try Syscalls.rename(
                buffer.name.text, at: buffers.raw, to: "\(buffer.id.number)", at: gone.raw,
                flags: .noReplace)
        }
    }

    /// A target that is replaced is `discard`'s to take away. Where the server ends in between it
    /// has the old name of the one that took its own: nothing is lost.
    func rename(_ buffer: BufferDescription, to name: Name, flags: RenameFlags) throws(Errno) {
        try changing { () throws(Errno) in
            let target = try? Syscalls.status(of: "\(name)/\(Self.file)", at: buffers.raw).inode
            if target == buffer.id.number { return }
            let isReplaced = target != nil && flags.isEmpty
            let own = buffer.name.text
            try Syscalls.rename(
                own, to: name.text, at: buffers.raw, flags: isReplaced ? .exchange : flags)
            if isReplaced, let target {
                do throws(Errno) {
                    try Syscalls.rename(
                        own, at: buffers.raw, to: "\(target)", at: gone.raw, flags: .noReplace)
                } catch {
                    try Syscalls.rename(own, to: name.text, at: buffers.raw, flags: .exchange)
                    throw error
                }
            }
        }
    }

    // MARK: Records

    func setTraits(_ traits: BufferTraits, of buffer: BufferDescription) throws(Errno) {
        try changing { () throws(Errno) in try change(buffer) { $0.traits = traits } }
    }

    /// - Parameter descriptor: one of the buffer's, which may have no name any more.
    /// Who may give it away the kernel has decided. A record says whose it is, so that any user's
    /// server can.
    func setOwner(
        of buffer: BufferDescription, by descriptor: CInt, uid: UInt32?, gid: UInt32?,
        mode: UInt32?
    ) throws(Errno) {
        func set(_ record: inout MemoryRecord) {
            record.owner.uid = uid ?? record.owner.uid
            record.owner.gid = gid ?? record.owner.gid
            record.owner.mode = (mode ?? record.owner.mode) & 0o777
            record.changed = .now()
        }
        try changing { () throws(Errno) in
            guard try Syscalls.status(of: descriptor).links == 0 else {
                return try change(buffer, set)
            }
            // Nothing but memory is left of it.
            owners.withLock { owners in
                guard let owner = owners[buffer.id] else { return }
                var record = MemoryRecord(traits: buffer.traits, owner: owner)
                set(&record)
                owners.set(record, of: buffer.id)
            }
        }
    }

    /// - Throws: ENOENT where the name is not this buffer's any more.
    private func change(
        _ buffer: BufferDescription, _ body: (inout MemoryRecord) -> Void
    ) throws(Errno) {
        let status = try Syscalls.status(of: "\(buffer.name)/\(Self.file)", at: buffers.raw)
        guard status.inode == buffer.id.number else { throw .noSuchFileOrDirectory }
        var record = record(of: buffer.name, status)
        body(&record)
        let place = place()
        try Syscalls.makeLink(place, to: record.text, at: fresh.raw)
        do throws(Errno) {
            try Syscalls.rename(
                place, at: fresh.raw, to: "\(buffer.name)/\(Self.traits)", at: buffers.raw,
                flags: [])
        } catch {
            try? Syscalls.unlink(place, at: fresh.raw)
            throw error
        }
        let changed = record
        owners.withLock { $0.set(changed, of: buffer.id) }
    }

    // MARK: The end of a buffer

    /// Takes away what `remove` or `rename` left of a buffer. May wait for a client who holds the
    /// file's lock, and holds nothing meanwhile that another buffer needs.
    func discard(_ id: BufferID) {
        Self.clear("\(id.number)", at: gone.raw)
    }

    /// A path of the file of a removed buffer, for calls that take no directory.
    func remains(of id: BufferID) -> String {
        "/proc/self/fd/\(gone.raw)/\(id.number)/\(Self.file)"
    }

    /// Takes a directory of `new/` or `gone/` away, or what else is there.
    static func clear(_ place: String, at directory: CInt) {
        for name in [file, traits] { try? Syscalls.unlink("\(place)/\(name)", at: directory) }
        do throws(Errno) {
            try Syscalls.removeDirectory(place, at: directory)
        } catch .notDirectory {
            try? Syscalls.unlink(place, at: directory)
        } catch {
            // Gone already, or the next start tries again.
        }
    }

    /// Somebody has a buffer open or mapped, in a store that no server has.
    func isInUse() throws(Errno) -> Bool {
        for name in try Syscalls.names(in: buffers.raw) {
            for path in ["\(name)/\(Self.file)", name] {
                do throws(Errno) {
                    let file = try Syscalls.open(
                        path, at: buffers.raw, flags: O_RDWR | O_NOFOLLOW | O_NONBLOCK)
                    if !Syscalls.isSoleUser(file.raw) { return true }
                    break
                } catch .wouldBlock {
                    return true
                } catch {
                    // An earlier version's file is the name itself; half a buffer has none.
                    continue
                }
            }
        }
        return false
    }

    /// Empties a store that is not a tmpfs of its own.
    func removeAll() throws(Errno) {
        for directory in [buffers.raw, fresh.raw, gone.raw] {
            for name in try Syscalls.names(in: directory) { Self.clear(name, at: directory) }
        }
        // Of a device that only an earlier version had.
        if let old = try? Syscalls.open("traits", at: root.raw, flags: O_RDONLY | O_DIRECTORY) {
            for name in try Syscalls.names(in: old.raw) { try Syscalls.unlink(name, at: old.raw) }
            try Syscalls.removeDirectory("traits", at: root.raw)
        }
        try? Syscalls.unlink(Self.limitFile, at: root.raw)
        for name in ["buffers", "new", "gone"] {
            try Syscalls.removeDirectory(name, at: root.raw)
        }
    }
}
