import CFuse
import Glibc
import SystemPackage

/// Names. Whatever is done here, except by `discard`, takes locks of directories and of links only:
/// no client can make it wait.
extension MemoryStore {
    /// A name in `new/` that nobody else has.
    private func place() -> String {
        "\(nonce)-\(count.add(1, ordering: .relaxed).newValue)"
    }

    /// Small enough to be tried without a look at what is free.
    private static let small: UInt64 = 1 << 20

    /// A buffer comes into being whole: it has no name until all is done.
    /// - Parameter prepare: what else has to be done with its file. It is undone by who does it.
    func make(
        _ name: Name, size: UInt64, traits: BufferTraits, owner: Ownership,
        prepare: (BufferID, CInt) throws(Errno) -> Void = { _, _ in }
    ) throws(Errno) -> NewBuffer {
        let id = try numbers.next(in: root.raw)
        // ENOSPC beyond the files that the device can have; EEXIST for one that was put there by hand.
        try Syscalls.makeNewDirectory("\(id.number)", at: files.raw, mode: 0o700)
        var isDone = false
        defer {
            if !isDone {
                discard(id)
                free(id)
            }
        }
        let file = try Syscalls.open(
            Self.path(id), at: files.raw,
            flags: O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_NONBLOCK, mode: 0o600)
        try fill(file.raw, id, size: size)
        try prepare(id, file.raw)
        let record = MemoryRecord(traits: traits, owner: owner)
        // Known before the name is to be seen.
        owners.withLock { $0.set(record, of: id) }
        try Syscalls.makeLink(name.text, to: record.line(of: id), at: buffers.raw)
        isDone = true
        return NewBuffer(id: id, file: file)
    }

    /// Gives a new file its memory.
    private func fill(_ descriptor: CInt, _ id: BufferID, size: UInt64) throws(Errno) {
        guard isPrivate else {
            let inode = try Syscalls.status(of: descriptor).inode
            quota.withLock { $0.note(inode, of: id) }
            if size > 0 { try resize(descriptor, to: size) }
            return
        }
        guard size <= Self.small else { return try resize(descriptor, to: size) }
        if size == 0 { return }
        try memory.admitting(size.wholePages) { () throws(Errno) in
            try Syscalls.allocate(descriptor, 0..<size)
        }
    }

    private func changing(_ body: () throws(Errno) -> Void) throws(Errno) {
        try changes.withLock { (_) throws(Errno) in try body() }
    }

    func remove(_ buffer: BufferDescription) throws(Errno) {
        try changing { () throws(Errno) in
            try Syscalls.unlink(buffer.name.text, at: buffers.raw)
            owners.withLock { $0.unname(buffer.id) }
        }
    }

    /// A target that is replaced is `discard`'s to take away, or the next server's.
    func rename(_ buffer: BufferDescription, to name: Name, flags: RenameFlags) throws(Errno) {
        try changing { () throws(Errno) in
            let target = flags.isEmpty ? try? named(name) : nil
            if target?.id == buffer.id { return }
            try Syscalls.rename(buffer.name.text, to: name.text, at: buffers.raw, flags: flags)
            if let target { owners.withLock { $0.unname(target.id) } }
        }
    }

    // MARK: Records

    /// Number and record of a link's text; nil for what is none.
    static func parse(_ text: String) -> (id: BufferID, record: Substring)? {
        let words = text.split(separator: " ", maxSplits: 1)
        guard words.count == 2, let number = UInt64(words[0]), number > 0 else { return nil }
        return (BufferID(number), words[1])
    }

    /// Who has a name.
    private func named(_ name: Name) throws(Errno) -> (id: BufferID, record: Substring) {
        guard let kept = Self.parse(try Syscalls.link(name.text, at: buffers.raw)) else {
            throw .noSuchFileOrDirectory
        }
        return kept
    }

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
            guard owners.withLock({ $0.isUnnamed(buffer.id) }) else {
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
        let kept = try named(buffer.name)
        guard kept.id == buffer.id else { throw .noSuchFileOrDirectory }
        var record =
            MemoryRecord(line: kept.record)
            ?? MemoryRecord(
                traits: buffer.traits, owner: owners.withLock { $0[buffer.id] } ?? Self.nobodys)
        body(&record)
        let place = place()
        try Syscalls.makeLink(place, to: record.line(of: buffer.id), at: fresh.raw)
        do throws(Errno) {
            try Syscalls.rename(
                place, at: fresh.raw, to: buffer.name.text, at: buffers.raw, flags: [])
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
        Self.discard("\(id.number)", at: files.raw)
    }

    /// The lock of the directory that is held over the wait for the file's is the buffer's own.
    static func discard(_ name: String, at files: CInt) {
        try? Syscalls.unlink("\(name)/\(file)", at: files)
        do throws(Errno) {
            try Syscalls.removeDirectory(name, at: files)
        } catch .directoryNotEmpty {
            // Where it was in the device's address space.
            empty(name, at: files)
            try? Syscalls.removeDirectory(name, at: files)
        } catch {
            // Gone already, or the next start tries again.
        }
    }

    private static func empty(_ name: String, at files: CInt) {
        guard let own = try? Syscalls.open(name, at: files, flags: O_RDONLY | O_DIRECTORY),
            let links = try? Syscalls.names(in: own.raw)
        else { return }
        for link in links { try? Syscalls.unlink(link, at: own.raw) }
    }

    /// A path of the file of a removed buffer, for calls that take no directory.
    func remains(of id: BufferID) -> String {
        "/proc/self/fd/\(files.raw)/\(Self.path(id))"
    }

    /// Somebody has a buffer open or mapped, in a store that no server has.
    func isInUse() throws(Errno) -> Bool {
        for name in try Syscalls.names(in: files.raw) {
            if try Self.isInUse("\(name)/\(Self.file)", at: files.raw) ?? false { return true }
        }
        // Of earlier versions: see `convert`.
        for name in try Syscalls.names(in: buffers.raw) {
            for path in ["\(name)/\(Self.file)", name]
            where try Self.isInUse(path, at: buffers.raw) ?? false { return true }
        }
        return false
    }

    /// Nil for what is no file that could be opened.
    private static func isInUse(_ path: String, at directory: CInt) throws(Errno) -> Bool? {
        do throws(Errno) {
            let file = try Syscalls.open(
                path, at: directory, flags: O_RDWR | O_NOFOLLOW | O_NONBLOCK)
            return !Syscalls.isSoleUser(file.raw)
        } catch .wouldBlock {
            return true
        } catch {
            return nil
        }
    }

    /// Empties a store that is not a tmpfs of its own.
    func removeAll() throws(Errno) {
        for directory in [buffers.raw, fresh.raw, files.raw] {
            for name in try Syscalls.names(in: directory) { Self.clear(name, at: directory) }
        }
        for old in ["traits", "gone"] { try removeOld(old) }
        for link in [Self.limitFile, MemoryNumbers.link] {
            try? Syscalls.unlink(link, at: root.raw)
        }
        for name in ["buffers", "new", "files"] {
            try Syscalls.removeDirectory(name, at: root.raw)
        }
    }
}
