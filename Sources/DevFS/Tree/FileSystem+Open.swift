import Glibc
import SystemPackage

/// Flags of `open(2)`.
public struct OpenFlags: Sendable {
    public let bits: Int32

    public init(_ bits: Int32) { self.bits = bits }

    public var reads: Bool { bits & O_ACCMODE != O_WRONLY }
    public var writes: Bool { bits & O_ACCMODE != O_RDONLY }
    public var truncates: Bool { bits & O_TRUNC != 0 }
    public var isExclusive: Bool { bits & O_EXCL != 0 }
    public var waits: Bool { bits & O_NONBLOCK == 0 }
}

extension FileSystem {
    func open(
        _ inode: Inode, _ flags: OpenFlags, by caller: Caller
    ) throws(Errno) -> any OpenFile {
        func text<S>(
            _ table: [TextFile<S>], _ row: Int, _ folder: String, _ subject: S
        ) throws(Errno) -> any OpenFile {
            guard table.indices.contains(row) else { throw .staleNFSFileHandle }
            let file = table[row]
            let isReadable = file.read != nil || file.open != nil
            guard isReadable || !flags.reads, file.write != nil || !flags.writes else {
                throw .permissionDenied
            }
            if file.isFollowed { return LogFile(inode, in: self, by: caller) }
            if let open = file.open { return try open(self, subject, caller) }
            let opener =
                flags.writes
                ? Opener(waiting: caller, identifies: file.traits.contains(.identified))
                : Opener(caller)
            return OpenTextFile(
                file, of: subject, in: self, path: folder + file.name, by: opener)
        }
        switch try node(of: inode) {
        case .rootFile(let row): return try text(Layout.root, row, "", ())
        case .controlFile(let row): return try text(Layout.control, row, "control/", ())
        case .heapFile(let heap, let row):
            return try text(Layout.heap, row, "control/heaps/\(heap.name)/", heap)
        case .attribute(let id, let row):
            let buffer = try buffer(id)
            return try text(Layout.attributes, row, "attributes/\(buffer.name)/", buffer)
        case .signalFile(let id, let row):
            let signal = try signal(id)
            return try text(Layout.signal, row, "signals/\(signal.name)/", signal)
        case .streamFile(let id, let row):
            let stream = try stream(id)
            return try text(Layout.stream, row, "streams/\(stream.name)/", stream)
        case .region(let index):
            let region = try region(index)
            guard let hardware else { throw .noDevice }
            guard region.isWritable || !flags.writes else { throw .permissionDenied }
            return try RegionFile(region, of: hardware, inode: inode, use: regionUse)
        case .buffer(let id):
            let buffer = try buffer(id)
            if flags.truncates {
                do throws(Refusal) {
                    try buffers.resize(buffer, to: 0, handles: 0)
                } catch {
                    throw log.add(
                        error, command: "O_TRUNC".utf8, file: "buffers/\(buffer.name)",
                        by: caller)
                }
            }
            do throws(Errno) {
                let file = try BufferFile(buffer, in: buffers, log: log, by: caller)
                if file.lacksMemory { fill(buffer, for: caller) }
                return file
            } catch .noSuchFileOrDirectory {
                // It was removed since the look-up: the kernel is to look again.
                throw .staleNFSFileHandle
            }
        default: throw .isDirectory
        }
    }

    /// `open(O_CREAT)`.
    func create(
        _ name: String, in parent: Inode, mode: UInt32, _ flags: OpenFlags, by caller: Caller
    ) throws(Errno) -> (FileStatus, any OpenFile) {
        guard try node(of: parent) == .directory(.buffers) else { throw .notPermitted }
        let valid = try newName(name, by: caller)
        while true {
            do throws(Refusal) {
                let opener = Opener(waiting: caller, identifies: true)
                let traits = BufferTraits(heap: options.heap).owned(by: opener)
                let buffer = try buffers.allocate(
                    valid, size: 0, traits: traits, owner: ownership(of: caller, mode: mode),
                    payer: caller.uid, quotas: quotas)
                metrics.allocations.add()
                let file = try refusing("opening") { () throws(Errno) in
                    try BufferFile(buffer, in: buffers, log: log, by: caller)
                }
                return (try refusing("reading") { () throws(Errno) in try status(of: file) }, file)
            } catch  where error.errno == .fileExists && !flags.isExclusive {
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
    private func fill(_ buffer: Buffer, for caller: Caller) {
        pool.run(
            WorkPool.Item(uid: quotas.payer(of: caller.uid), lane: buffer.id) { [self] in
                do throws(Refusal) {
                    try buffers.withMemory(of: buffer) { (memory) throws(Refusal) in
                        let size = try refusing("reading its size") { () throws(Errno) in
                            try Syscalls.status(of: memory.descriptor.raw).size
                        }
                        try backend.populate(memory.descriptor.raw, 0..<size)
                    }
                } catch {
                    log.add(
                        error, command: "open: it has lost memory".utf8,
                        file: "buffers/\(buffer.name)", by: caller)
                }
            })
    }

    func refusing<T>(
        _ what: String, _ body: () throws(Errno) -> T
    ) throws(Refusal) -> T {
        do throws(Errno) {
            return try body()
        } catch {
            throw Refusal(error, "\(what) failed")
        }
    }

    func ownership(of caller: Caller, mode: UInt32) -> Ownership {
        Ownership(
            uid: options.forcesUID ? options.uid : caller.uid,
            gid: options.forcesGID ? options.gid : caller.gid,
            mode: mode & 0o777 & ~options.umask)
    }

    /// A line of `control/alloc`.
    func allocate(_ request: AllocationRequest, by opener: Opener) throws(Refusal) {
        let heap = request.heap ?? options.heap
        guard backend.heaps.contains(heap), heap.isAllocatable else {
            throw .invalid("this device has no \(heap.name) heap to allocate from")
        }
        let traits = BufferTraits(
            heap: heap, direction: request.direction, lease: request.lease
        ).owned(by: opener)
        if request.lease == .process && traits.ownerStart == 0 {
            throw Refusal(.noSuchProcess, "the process of the lease is not to be seen from here")
        }
        let buffer = try buffers.allocate(
            request.name, size: request.size, traits: traits,
            owner: ownership(of: opener.caller, mode: 0o666), payer: opener.uid, quotas: quotas)
        metrics.allocations.add()
        if request.lease == .process {
            do throws(Errno) {
                try leases.bind(buffer)
            } catch {
                try? buffers.remove(buffer)
                throw Refusal(error, "the process of the lease can't be watched")
            }
        }
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
