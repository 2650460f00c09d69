import CFuse
import Glibc
import SystemPackage

/// A buffer without a name that is there still.
struct RemovedBuffer: ~Copyable {
    let description: BufferDescription
    let file: Descriptor

    consuming func takeFile() -> Descriptor { file }
}

/// What a server finds at its start.
extension MemoryStore {
    /// Has what a server that died halfway left over taken away by a thread: a client of its life
    /// may hold the lock of a file that has no name any more.
    /// - Parameter used: removed buffers that somebody has open, who goes on.
    func adopt(keeping used: Set<UInt64> = []) throws(Errno) {
        try convert()
        try separate()
        var named: Set<String> = []
        var isWhole = true
        for text in try Syscalls.names(in: buffers.raw) {
            // Half a buffer of an earlier version is no link, and names none.
            guard let link = try? Syscalls.link(text, at: buffers.raw) else { continue }
            if let kept = Self.parse(link) {
                named.insert("\(kept.id.number)")
                numbers.see(kept.id)
            } else {
                isWhole = false
            }
        }
        let unfinished = try Syscalls.names(in: fresh.raw)
        var nameless: [String] = []
        for text in try Syscalls.names(in: files.raw) where !named.contains(text) {
            if let number = UInt64(text) {
                numbers.see(BufferID(number))
                if used.contains(number) { continue }
            }
            nameless.append(text)
        }
        // What can't be read may name one of them.
        if !isWhole { nameless = [] }
        let hasOld = (try? Syscalls.status(of: "gone", at: root.raw)) != nil
        guard hasOld || !unfinished.isEmpty || !nameless.isEmpty else { return }
        let removed = nameless
        let cleaning = try Worker("devfs-clean") { [self] in
            for name in unfinished { Self.clear(name, at: fresh.raw) }
            for name in removed {
                Self.discard(name, at: files.raw)
                if let number = UInt64(name) { free(BufferID(number)) }
            }
            try? removeOld("gone")
        }
        cleaning.detach()
    }

    /// A removed buffer that is there still, and its file. What its link said went with the name.
    func openRemoved(_ id: BufferID) throws(Errno) -> RemovedBuffer {
        guard let name = Name("\(id.number)") else { throw .noSuchFileOrDirectory }
        let file = try Syscalls.open(
            Self.path(id), at: files.raw, flags: O_RDWR | O_NOFOLLOW | O_NONBLOCK)
        let record = Self.record(
            of: try Syscalls.status(of: file.raw), BufferTraits(heap: .system))
        owners.withLock { owners in
            owners.set(record, of: id)
            owners.unname(id)
        }
        return RemovedBuffer(
            description: BufferDescription(id: id, name: name, traits: record.traits), file: file)
    }

    /// The buffers that have a name.
    func list() throws(Errno) -> [BufferDescription] {
        var found: [BufferDescription] = []
        // Most buffers of a device were made alike, by one process.
        var last: (text: Substring, record: MemoryRecord)?
        for text in try Syscalls.names(in: buffers.raw) {
            // One that went since the names were read is none.
            guard let name = Name(text),
                let kept = (try? Syscalls.link(text, at: buffers.raw)).flatMap(Self.parse)
            else { continue }
            let record: MemoryRecord
            if let last, last.text == kept.record {
                record = last.record
            } else {
                record = try self.record(kept.record, of: kept.id)
                last = (kept.record, record)
            }
            found.append(BufferDescription(id: kept.id, name: name, traits: record.traits))
            // One that changed since it was read is known.
            owners.withLock { if $0[kept.id] == nil { $0.set(record, of: kept.id) } }
        }
        return found
    }

    private func record(_ line: Substring, of id: BufferID) throws(Errno) -> MemoryRecord {
        if let record = MemoryRecord(line: line) { return record }
        let status = try Syscalls.status(of: Self.path(id), at: files.raw)
        return Self.record(of: status, BufferTraits(heap: .system))
    }

    /// Whose a buffer is of which nothing is known.
    static var nobodys: Ownership { Ownership(uid: geteuid(), gid: getegid(), mode: 0o600) }

    private static func record(of status: FileStatus, _ traits: BufferTraits) -> MemoryRecord {
        MemoryRecord(
            traits: traits,
            owner: Ownership(uid: status.uid, gid: status.gid, mode: status.mode & 0o777))
    }

    // MARK: Earlier versions

    /// The status of a buffer's file of earlier versions: `buffers/NAME/data`, and before that
    /// `buffers/NAME`; nil for a link of ours.
    static func status(ofOld name: String, at directory: CInt) throws(Errno) -> FileStatus? {
        do throws(Errno) {
            return try Syscalls.status(of: "\(name)/\(file)", at: directory)
        } catch .notDirectory {
            let status = try Syscalls.status(of: name, at: directory)
            return status.isRegular ? status : nil
        }
    }

    /// Takes a directory of earlier versions away, or what else is there.
    static func clear(_ place: String, at directory: CInt) {
        for name in [file, Self.place, traits] {
            try? Syscalls.unlink("\(place)/\(name)", at: directory)
        }
        do throws(Errno) {
            try Syscalls.removeDirectory(place, at: directory)
        } catch .notDirectory {
            try? Syscalls.unlink(place, at: directory)
        } catch {
            // Gone already, or the next start tries again.
        }
    }

    /// Takes away a directory that only earlier versions have.
    func removeOld(_ name: String) throws(Errno) {
        guard let old = try? Syscalls.open(name, at: root.raw, flags: O_RDONLY | O_DIRECTORY)
        else { return }
        for entry in try Syscalls.names(in: old.raw) { Self.clear(entry, at: old.raw) }
        try Syscalls.removeDirectory(name, at: root.raw)
    }

    /// The version before had a directory `buffers/NAME/` for each buffer, with the file `data` and the
    /// link `traits`, and the number was the file's inode number. The link comes first, as
    /// `buffers/.NAME`; then the file moves, and the two change places: whatever a server that ends in
    /// between leaves is taken up here. This waits for whoever holds a file's lock from before.
    private func separate() throws(Errno) {
        for text in try Syscalls.names(in: buffers.raw) where Name(text) != nil {
            guard try Syscalls.status(of: text, at: buffers.raw).isDirectory else { continue }
            let link = ".\(text)"
            if let status = try? Syscalls.status(of: "\(text)/\(Self.file)", at: buffers.raw) {
                let kept = try? Syscalls.link("\(text)/\(Self.traits)", at: buffers.raw)
                let record =
                    kept.flatMap(MemoryRecord.init(text:))
                    ?? Self.record(of: status, BufferTraits(heap: .system))
                try Syscalls.setLink(
                    link, to: record.line(of: BufferID(status.inode)), at: buffers.raw)
                let id = BufferID(status.inode)
                try Syscalls.makeDirectory("\(id.number)", at: files.raw, mode: 0o700)
                try Syscalls.rename(
                    "\(text)/\(Self.file)", at: buffers.raw, to: Self.path(id), at: files.raw,
                    flags: .noReplace)
            }
            do throws(Errno) {
                try Syscalls.rename(link, to: text, at: buffers.raw, flags: .exchange)
            } catch .noSuchFileOrDirectory {
                // Half a buffer, which no version had under its name.
            }
        }
        for text in try Syscalls.names(in: buffers.raw) where text.hasPrefix(".") {
            Self.clear(text, at: buffers.raw)
        }
    }

    /// Versions before that had a buffer's file as `buffers/NAME`, its owner and mode as the file's, and
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
