import Glibc
import SystemPackage

/// What the rows of `Layout.folders` do: which objects are in each, what a file of one shows of its
/// owner, mode and times, and how it is opened.
extension Children {
    static let buffers = Children(
        find: findBuffer, list: listBuffers,
        status: { tree, id throws(Errno) in
            let buffer = try tree.buffer(BufferID(id))
            return tree.present(try tree.buffers.status(of: buffer), buffer)
        },
        open: { tree, id, request throws(Errno) in
            try tree.open(try tree.buffer(BufferID(id)), request)
        })

    static let attributes = Children(
        find: findBuffer, list: listBuffers,
        status: { tree, id throws(Errno) in
            let buffer = try tree.buffer(BufferID(id))
            let lifetime = tree.lifetime(of: buffer)
            var status = tree.directoryStatus(try tree.buffers.status(of: buffer).changed)
            status.lifetime = lifetime
            return status
        },
        files: Files(
            table: Layout.attributes, path: { "attributes/\($0.name)/" },
            subject: { tree, id throws(Errno) in try tree.buffer(BufferID(id)) },
            adjust: { tree, buffer, file, status throws(Errno) in
                let owner = try tree.buffers.status(of: buffer)
                status.setTimes(owner.changed)
                // Addresses are the mount owner's business, the rest the buffer owner's.
                if file.mode == Layout.secret { return }
                (status.uid, status.gid) = (owner.uid, owner.gid)
                // Who may write the buffer may sync it, by whatever way.
                if file.isForWriters { status.mode = S_IFREG | (owner.mode & 0o222) }
            }))

    static let heaps = Children(
        find: { tree, name in
            tree.backend.heaps.first { $0.name == name }.map { UInt64($0.rawValue) }
        },
        list: { tree in tree.backend.heaps.map { ($0.name, UInt64($0.rawValue)) } },
        status: { tree, _ in tree.directoryStatus() },
        files: Files(
            table: Layout.heap, path: { "control/heaps/\($0.name)/" },
            subject: { _, id throws(Errno) in
                guard let heap = Int(exactly: id).flatMap(Heap.init) else {
                    throw .staleNFSFileHandle
                }
                return heap
            }))

    static let signals = Children(
        find: { tree, name in Name(name).flatMap { tree.signals.find($0) }?.id.number },
        list: { tree in
            tree.signals.rescan()
            return tree.signals.all.map { ($0.name.text, $0.id.number) }
        },
        status: { tree, id throws(Errno) in
            _ = try tree.signal(SignalID(number: id))
            return tree.directoryStatus(tree.signals.changed)
        },
        files: Files(
            table: Layout.signal, path: { "signals/\($0.name)/" },
            subject: { tree, id throws(Errno) in try tree.signal(SignalID(number: id)) },
            adjust: { _, signal, _, status in status.uid = signal.owner }))

    static let streams = Children(
        find: { tree, name in Name(name).flatMap { tree.streams[$0] }?.id.number },
        list: { tree in tree.streams.all.map { ($0.name.text, $0.id.number) } },
        status: { tree, id throws(Errno) in
            _ = try tree.stream(StreamID(number: id))
            return tree.directoryStatus(tree.streams.changed)
        },
        files: Files(
            table: Layout.stream, path: { "streams/\($0.name)/" },
            subject: { tree, id throws(Errno) in try tree.stream(StreamID(number: id)) },
            adjust: { tree, stream, file, status in
                tree.makeReadable(&status, as: stream, file.mode)
            }))

    static let regions = Children(
        find: { tree, name in
            Name(name).flatMap { name in tree.regions.first { $0.name == name } }
                .map { UInt64($0.index) }
        },
        list: { tree in tree.regions.map { ($0.name.text, UInt64($0.index)) } },
        status: { tree, id throws(Errno) in
            let region = try tree.region(id)
            var status = FileStatus(
                inode: 0,
                mode: S_IFREG | ((region.isWritable ? 0o600 : 0o400) & ~tree.options.umask),
                uid: tree.options.uid, gid: tree.options.gid, at: tree.started)
            status.size = region.size
            return status
        },
        open: { tree, id, request throws(Errno) in
            let region = try tree.region(id)
            guard let hardware = tree.hardware else { throw .noDevice }
            guard region.isWritable || !request.flags.writes else { throw .permissionDenied }
            if let port = try hardware.port(of: region) { return PortFile(port) }
            return try RegionFile(region, of: hardware, inode: request.inode, use: tree.regionUse)
        })

    @Sendable private static func findBuffer(_ tree: FileSystem, _ name: String) -> UInt64? {
        Name(name).flatMap { tree.buffers[$0] }?.id.number
    }

    @Sendable private static func listBuffers(_ tree: FileSystem) -> [(
        name: String, number: UInt64
    )] {
        tree.buffers.all.map { ($0.name.text, $0.id.number) }
    }
}

extension FileSystem {
    /// A buffer's own file.
    fileprivate func open(_ buffer: Buffer, _ request: OpenRequest) throws(Errno) -> any OpenFile {
        if request.flags.truncates {
            do throws(Refusal) {
                try buffers.resize(buffer, to: 0, handles: 0)
            } catch {
                throw log.add(
                    error, command: "O_TRUNC".utf8, file: "buffers/\(buffer.name)",
                    by: request.caller)
            }
        }
        do throws(Errno) {
            let file = try BufferFile(
                buffer, inode: Node.buffer(buffer.id).inode, in: buffers, log: log,
                by: request.caller)
            if file.lacksMemory { fill(buffer, for: request.caller) }
            return file
        } catch .noSuchFileOrDirectory {
            // It was removed since the look-up: the kernel is to look again.
            throw .staleNFSFileHandle
        }
    }

    /// Who may read the stream's buffer may read the stream, and who made the stream may set it.
    ///
    /// - Parameter mode: that of the table. Who releases bytes does no more than who reads them.
    fileprivate func makeReadable(
        _ status: inout FileStatus, as stream: Stream, _ mode: UInt32
    ) {
        guard let buffer = bufferStatus(of: stream) else {
            status.mode = S_IFREG
            return
        }
        status.gid = buffer.gid
        if mode == 0o666 {
            let readers = buffer.mode & 0o444
            status.uid = buffer.uid
            status.mode = S_IFREG | readers | readers >> 1
        } else if status.mode & 0o222 != 0 {
            status.uid = stream.owner
            status.mode = S_IFREG | 0o600 | (buffer.mode & 0o044)
        } else {
            status.uid = buffer.uid
            status.mode = S_IFREG | (buffer.mode & 0o444)
        }
    }
}
