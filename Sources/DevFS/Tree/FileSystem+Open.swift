import Glibc
import SystemPackage

/// Flags of `open(2)`.
package struct OpenFlags: Sendable {
    package let bits: Int32

    package init(_ bits: Int32) { self.bits = bits }

    package var reads: Bool { bits & O_ACCMODE != O_WRONLY }
    package var writes: Bool { bits & O_ACCMODE != O_RDONLY }
    package var truncates: Bool { bits & O_TRUNC != 0 }
    package var isExclusive: Bool { bits & O_EXCL != 0 }
    package var waits: Bool { bits & O_NONBLOCK == 0 }
}

extension FileSystem {
    func open(
        _ inode: Inode, _ flags: OpenFlags, by caller: Caller
    ) throws(Errno) -> any OpenFile {
        try open(inode, OpenRequest(inode: inode, flags: flags, caller: caller))
    }

    /// What a client has open already goes on, with the rights that he had then.
    func reopen(_ opening: KeptHandle.Opening) throws(Errno) -> any OpenFile {
        try open(
            opening.inode,
            OpenRequest(
                inode: opening.inode, flags: OpenFlags(opening.flags & ~O_TRUNC),
                caller: opening.opener.caller, opener: opening.opener))
    }

    /// Of a buffer that a server before this one has made.
    func reopenedStatus(of file: any OpenFile) throws(Errno) -> FileStatus {
        guard let file = file as? BufferFile else { throw .noSuchFileOrDirectory }
        return try status(of: file)
    }

    private func open(_ inode: Inode, _ request: OpenRequest) throws(Errno) -> any OpenFile {
        switch try node(of: inode) {
        case .folder: throw .isDirectory
        case .file(let directory, let row):
            return try rows(Layout[directory].files).open(row, of: 0, in: self, request)
        case .child(let directory, let id):
            guard let open = Layout[directory].children?.open else { throw .isDirectory }
            return try open(self, id, request)
        case .childFile(let directory, let id, let row):
            return try rows(Layout[directory].children?.files).open(row, of: id, in: self, request)
        case .nested(let directory, let id):
            let nested = try nested(directory)
            guard !nested.isDirectory(id) else { throw .isDirectory }
            return try nested.open(self, id, request)
        }
    }

    /// Of a number that says that there is one.
    func nested(_ directory: Directory) throws(Errno) -> Nested {
        guard let nested = Layout[directory].nested else { throw .staleNFSFileHandle }
        return nested
    }

    /// Of a number that says that there are some.
    func rows(_ files: (any FileRows)?) throws(Errno) -> any FileRows {
        guard let files else { throw .staleNFSFileHandle }
        return files
    }

    /// `open(O_CREAT)`.
    func create(
        _ name: String, in parent: Inode, mode: UInt32, _ flags: OpenFlags, by caller: Caller
    ) throws(Errno) -> (FileStatus, any OpenFile) {
        guard try node(of: parent) == .folder(.buffers) else { throw .notPermitted }
        let valid = try newName(name, by: caller)
        let undertaking = Undertaking.current
        // The server before this one was at it: what is there now may be its work.
        let isExclusive = flags.isExclusive && undertaking?.subjects == nil
        // It was empty then, so there is nothing to be cut.
        let kept = OpenFlags(flags.bits & ~O_TRUNC)
        if undertaking?.subjects != nil, let found = try? openExisting(valid, kept, by: caller) {
            return found
        }
        if buffers[valid] == nil { undertaking?.setSubjects(1) }
        while true {
            do throws(Refusal) {
                let opener = Opener(waiting: caller, identifies: true)
                let traits = BufferTraits(heap: options.heap).owned(by: opener)
                let buffer = try buffers.allocate(
                    valid, size: 0, traits: traits, owner: ownership(of: caller, mode: mode),
                    payer: caller.uid, quotas: quotas, opens: true)
                attributesChanged()
                metrics.allocations.add()
                let file = try refusing("opening failed") { () throws(Errno) in
                    try BufferFile(
                        buffer, inode: Node.buffer(buffer.id).inode, in: buffers, log: log,
                        by: caller)
                }
                return (
                    try refusing("reading failed") { () throws(Errno) in try status(of: file) },
                    file
                )
            } catch  where error.errno == .fileExists && !isExclusive {
                if buffers.isReserved(valid) { throw .resourceBusy }
            } catch {
                throw error.errno
            }
            do throws(Errno) {
                return try openExisting(valid, flags, by: caller)
            } catch .noSuchFileOrDirectory {
                // It went between the two: the name is free again.
            }
        }
    }

    /// A name that a file is to have. Tools that write beside a file and rename have names of their own,
    /// and whoever wonders why they fail looks into the log.
    /// - Throws: ENAMETOOLONG, EINVAL.
    func newName(_ text: String, by caller: Caller) throws(Errno) -> Name {
        do throws(Refusal) {
            return try Name(checking: text)
        } catch {
            throw log.add(
                Refusal(
                    error.errno,
                    error.why + "; no hidden, backup or swap files: rsync --inplace, no sed -i"),
                command: text.utf8, file: "buffers/", by: caller)
        }
    }

    /// The kernel found no file of that name, so it has checked no mode: one that is there by now is
    /// opened where its mode gives the right. Else ESTALE makes the kernel look again, and check.
    private func openExisting(
        _ name: Name, _ flags: OpenFlags, by caller: Caller
    ) throws(Errno) -> (FileStatus, any OpenFile) {
        guard let buffer = buffers[name] else { throw .noSuchFileOrDirectory }
        // Cutting may wait: it is for an open(2), which is the pool's then.
        if flags.truncates { throw .staleNFSFileHandle }
        let found = try buffers.status(of: buffer)
        let user = Credentials(Opener(waiting: caller))
        guard
            user.isGiven(
                reads: flags.reads, writes: flags.writes || flags.truncates, found)
        else { throw .staleNFSFileHandle }
        let file = try open(Node.buffer(buffer.id).inode, flags, by: caller)
        return (try status(of: Node.buffer(buffer.id).inode, file: file), file)
    }

    /// Gives a fixed buffer back what a mapping of it gave away, which nothing below refuses:
    /// `madvise(2)`, MADV_REMOVE, on a tmpfs. Not here: it waits for who has the file's lock.
    ///
    /// Whoever opens it while that is still to be done asks for nothing more.
    func fill(_ buffer: Buffer, for caller: Caller) {
        guard buffer.beginFill() else { return }
        pool.run(
            WorkPool.Item(
                uid: quotas.payer(of: caller.uid), lane: buffer.id,
                body: { [self] in
                    // What is lost from here on takes another one.
                    buffer.endFill()
                    fillNow(buffer, for: caller)
                }, stalled: { buffer.endFill() }))
    }

    private func fillNow(_ buffer: Buffer, for caller: Caller) {
        do throws(Refusal) {
            try buffers.withMemory(of: buffer) { (memory) throws(Refusal) in
                let size = try refusing("reading its size failed") { () throws(Errno) in
                    try Syscalls.status(of: memory.descriptor.raw).size
                }
                try backend.populate(memory.descriptor.raw, 0..<size)
            }
            stale(.buffer(buffer.id))
        } catch {
            log.add(
                error, command: "open: it has lost memory".utf8,
                file: "buffers/\(buffer.name)", by: caller)
        }
    }

    func ownership(of caller: Caller, mode: UInt32) -> Ownership {
        Ownership(
            uid: options.forcesUID ? options.uid : caller.uid,
            gid: options.forcesGID ? options.gid : caller.gid,
            mode: mode & 0o777 & ~options.umask)
    }
}

extension BufferTraits {
    /// With the process that the buffer belongs to.
    func owned(by opener: Opener) -> BufferTraits {
        var traits = self
        traits.owner = opener.pid
        traits.ownerStart = opener.process?.start ?? 0
        return traits
    }

    /// The owner's pid while it lives, else 0.
    var livingOwner: Int32 {
        guard owner.number > 0, (try? ProcessHandle.startTime(of: owner)) == ownerStart else {
            return 0
        }
        return owner.number
    }
}
