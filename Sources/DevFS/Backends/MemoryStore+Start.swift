import CFuse
import Glibc
import SystemPackage

/// What a server finds at its start.
extension MemoryStore {
    /// Has what a server that died halfway left over taken away by a thread: a client of its life
    /// may hold the lock of a file that has no name any more.
    func adopt() throws(Errno) {
        try convert()
        let unfinished = try Syscalls.names(in: fresh.raw)
        let removed = try Syscalls.names(in: gone.raw)
        guard !unfinished.isEmpty || !removed.isEmpty else { return }
        let cleaning = try Worker("devfs-clean") { [self] in
            for name in unfinished { Self.clear(name, at: fresh.raw) }
            for name in removed { Self.clear(name, at: gone.raw) }
        }
        cleaning.detach()
    }

    /// The buffers that have a name.
    func list() throws(Errno) -> [BufferDescription] {
        var found: [BufferDescription] = []
        // Most buffers of a device were made alike, by one process.
        var last: (text: String, record: MemoryRecord)?
        for text in try Syscalls.names(in: buffers.raw) {
            // One that went since the names were read is none.
            guard let name = Name(text),
                let status = try? Syscalls.status(of: "\(text)/\(Self.file)", at: buffers.raw)
            else { continue }
            let id = BufferID(status.inode)
            let kept = try? Syscalls.link("\(text)/\(Self.traits)", at: buffers.raw)
            let record: MemoryRecord
            if let last, last.text == kept {
                record = last.record
            } else {
                record = Self.record(kept, status)
                last = kept.map { ($0, record) }
            }
            found.append(BufferDescription(id: id, name: name, traits: record.traits))
            // One that changed since it was read is known.
            owners.withLock { if $0[id] == nil { $0.set(record, of: id) } }
        }
        return found
    }

    /// What is kept of a buffer.
    func record(of name: Name, _ status: FileStatus) -> MemoryRecord {
        Self.record(try? Syscalls.link("\(name)/\(Self.traits)", at: buffers.raw), status)
    }

    private static func record(_ text: String?, _ status: FileStatus) -> MemoryRecord {
        text.flatMap(MemoryRecord.init(text:))
            ?? record(of: status, BufferTraits(heap: .system))
    }

    private static func record(of status: FileStatus, _ traits: BufferTraits) -> MemoryRecord {
        MemoryRecord(
            traits: traits,
            owner: Ownership(uid: status.uid, gid: status.gid, mode: status.mode & 0o777))
    }

    /// Earlier versions had a buffer's file as `buffers/NAME`, its owner and mode as the file's, and
    /// its traits as `traits/NUMBER`. A buffer becomes `buffers/.NAME/`, and that `buffers/NAME/`;
    /// whatever a server that ends in between leaves is taken up here. This waits for whoever holds
    /// a file's lock from before.
    private func convert() throws(Errno) {
        let old: Descriptor
        do throws(Errno) {
            old = try Syscalls.open("traits", at: root.raw, flags: O_RDONLY | O_DIRECTORY)
        } catch .noSuchFileOrDirectory {
            return
        }
        for text in try Syscalls.names(in: buffers.raw) where Name(text) != nil {
            let status = try Syscalls.status(of: text, at: buffers.raw)
            guard !status.isDirectory else { continue }
            let kept = try? Syscalls.link("\(status.inode)", at: old.raw)
            let record = Self.record(
                of: status,
                kept.flatMap(BufferTraits.init(text:)) ?? BufferTraits(heap: .system))
            try Syscalls.makeDirectory(".\(text)", at: buffers.raw, mode: 0o700)
            do throws(Errno) {
                try Syscalls.makeLink(".\(text)/\(Self.traits)", to: record.text, at: buffers.raw)
            } catch .fileExists {
                // The one that the server before this one made has the owner of then.
            }
            let file = try Syscalls.open(
                text, at: buffers.raw, flags: O_RDWR | O_NOFOLLOW | O_NONBLOCK)
            try Syscalls.setMode(file.raw, 0o600)
            if geteuid() == 0 { try Syscalls.setOwner(file.raw, uid: 0, gid: 0) }
            try Syscalls.rename(
                text, to: ".\(text)/\(Self.file)", at: buffers.raw, flags: .noReplace)
        }
        for text in try Syscalls.names(in: buffers.raw) where text.hasPrefix(".") {
            try Syscalls.rename(
                text, to: String(text.dropFirst()), at: buffers.raw, flags: .noReplace)
        }
        for name in try Syscalls.names(in: old.raw) { try Syscalls.unlink(name, at: old.raw) }
        try Syscalls.removeDirectory("traits", at: root.raw)
    }
}
