import Glibc
import SystemPackage

/// An entry of a directory.
public struct DirectoryEntry: Sendable, Equatable {
    public var name: String
    public var inode: Inode
    public var isDirectory: Bool
}

extension FileSystem {
    func status(of inode: Inode, file: (any OpenFile)? = nil) throws(Errno) -> FileStatus {
        if let file = file as? BufferFile { return try status(of: file) }
        var status = try status(of: try node(of: inode))
        // tail(1) and cp(1) seek from the end of what they have open.
        if let length = file?.length ?? logViews.length(of: inode) { status.size = length }
        return status
    }

    /// An open buffer's, which may have no name any more.
    func status(of file: BufferFile) throws(Errno) -> FileStatus {
        present(try backend.status(of: file.buffer.id, by: file.descriptor), file.buffer)
    }

    private func present(_ status: FileStatus, _ buffer: Buffer) -> FileStatus {
        var status = status
        status.inode = Node.buffer(buffer.id).inode.number
        status.links = buffer.isLinked ? 1 : 0
        return status
    }

    func status(of node: Node) throws(Errno) -> FileStatus {
        func file<S>(
            _ table: [TextFile<S>], _ row: Int, _ subject: S, _ time: Timestamp? = nil,
            owner: UInt32? = nil
        ) throws(Errno) -> FileStatus {
            guard table.indices.contains(row) else { throw .staleNFSFileHandle }
            let file = table[row]
            var status = FileStatus(
                inode: node.inode.number, mode: S_IFREG | (file.mode & ~options.umask),
                uid: owner ?? options.uid, gid: options.gid, at: time ?? started)
            status.size = length(of: file, subject)
            // As much as a file without holes has, or cp(1) takes it for sparse.
            status.blocks = (status.size + 511) / 512
            // wc(1) seeks to the last block, which a length that is an estimate does not have.
            if file.isReport { status.blockSize = 1 << 20 }
            return status
        }
        func directory(_ time: Timestamp? = nil) -> FileStatus {
            FileStatus(
                inode: node.inode.number, mode: S_IFDIR | (0o777 & ~options.umask),
                uid: options.uid, gid: options.gid, at: time ?? started)
        }
        switch node {
        case .directory(.buffers), .directory(.attributes): return directory(buffers.changed)
        case .directory(.signals): return directory(signals.changed)
        case .directory(.streams): return directory(streams.changed)
        case .directory, .heapDirectory: return directory()
        case .rootFile(let row): return try file(Layout.root, row, ())
        case .controlFile(let row):
            let isLog = Layout.control.indices.contains(row) && Layout.control[row].isFollowed
            return try file(Layout.control, row, (), isLog ? log.changed : nil)
        case .heapFile(let heap, let row): return try file(Layout.heap, row, heap)
        case .buffer(let id):
            let buffer = try buffer(id)
            return present(try buffers.status(of: buffer), buffer)
        case .attributes(let id):
            return directory(try buffers.status(of: try buffer(id)).changed)
        case .attribute(let id, let row):
            let buffer = try buffer(id)
            let status = try buffers.status(of: buffer)
            var result = try file(Layout.attributes, row, buffer, status.changed)
            // Addresses are the mount owner's business, the rest the buffer owner's.
            if Layout.attributes[row].mode == Layout.secret { return result }
            (result.uid, result.gid) = (status.uid, status.gid)
            // Who may write the buffer may sync it, by whatever way.
            if Layout.attributes[row].isForWriters {
                result.mode = S_IFREG | (status.mode & 0o222)
            }
            return result
        case .signal(let id):
            _ = try signal(id)
            return directory(signals.changed)
        case .signalFile(let id, let row):
            let signal = try signal(id)
            return try file(Layout.signal, row, signal, owner: signal.owner)
        case .stream(let id):
            _ = try stream(id)
            return directory(streams.changed)
        case .streamFile(let id, let row):
            let stream = try stream(id)
            return readable(try file(Layout.stream, row, stream), as: stream)
        case .region(let index):
            let region = try region(index)
            var status = FileStatus(
                inode: node.inode.number,
                mode: S_IFREG | ((region.isWritable ? 0o600 : 0o400) & ~options.umask),
                uid: options.uid, gid: options.gid, at: started)
            status.size = region.size
            return status
        }
    }

    /// Of the buffer that a stream is; nil once it has ended.
    func bufferStatus(of stream: Stream) -> FileStatus? {
        streams.buffer(of: stream).flatMap { try? buffers.status(of: $0) }
    }

    /// Who may read the stream's buffer may read the stream, and who made the stream may set it.
    private func readable(_ status: FileStatus, as stream: Stream) -> FileStatus {
        var status = status
        guard let buffer = bufferStatus(of: stream) else {
            status.mode = S_IFREG
            return status
        }
        status.gid = buffer.gid
        if status.mode & 0o222 != 0 {
            status.uid = stream.owner
            status.mode = S_IFREG | 0o600 | (buffer.mode & 0o044)
        } else {
            status.uid = buffer.uid
            status.mode = S_IFREG | (buffer.mode & 0o444)
        }
        return status
    }

    /// The length of a text as a path tells it. A kernel that splices (sendfile(2), busybox cat)
    /// reads up to `st_size` and takes a short read for the end, so more than there is does no
    /// harm and less does; making a list of many buffers for each look-up would: the one before
    /// each command included.
    private func length<S>(of file: TextFile<S>, _ subject: S) -> UInt64 {
        // In whole pages, which no tool takes for an exact length.
        let count = file.isReport ? buffers.count : 0
        if count > 16 { return UInt64(16 + count / 16 + 1) * 4096 }
        return UInt64((try? file.read?(self, subject))?.utf8.count ?? 0)
    }

    func entries(of inode: Inode) throws(Errno) -> [DirectoryEntry] {
        func rows<S>(_ table: [TextFile<S>], _ node: (Int) -> Node) -> [DirectoryEntry] {
            table.enumerated().map { row, file in
                DirectoryEntry(name: file.name, inode: node(row).inode, isDirectory: false)
            }
        }
        func directory(_ name: String, _ node: Node) -> DirectoryEntry {
            DirectoryEntry(name: name, inode: node.inode, isDirectory: true)
        }
        func fixed(_ parent: Directory) -> [DirectoryEntry] {
            children(of: parent).map { directory($0.name, .directory($0)) }
        }
        let node = try node(of: inode)
        switch node {
        case .directory(.root):
            return fixed(.root) + rows(Layout.root) { .rootFile($0) }
        case .directory(.control):
            return fixed(.control) + rows(Layout.control) { .controlFile($0) }
        case .directory(.buffers):
            return buffers.all.map {
                DirectoryEntry(
                    name: $0.name.text, inode: Node.buffer($0.id).inode, isDirectory: false)
            }
        case .directory(.attributes):
            return buffers.all.map { directory($0.name.text, .attributes($0.id)) }
        case .directory(.heaps):
            return backend.heaps.map { directory($0.name, .heapDirectory($0)) }
        case .directory(.signals):
            signals.rescan()
            return signals.all.map { directory($0.name.text, .signal($0.id)) }
        case .directory(.streams):
            return streams.all.map { directory($0.name.text, .stream($0.id)) }
        case .directory(.regions):
            return regions.map {
                DirectoryEntry(
                    name: $0.name.text, inode: Node.region($0.index).inode, isDirectory: false)
            }
        case .heapDirectory(let heap): return rows(Layout.heap) { .heapFile(heap, $0) }
        case .attributes(let id):
            _ = try buffer(id)
            return rows(Layout.attributes) { .attribute(id, $0) }
        case .signal(let id):
            _ = try signal(id)
            return rows(Layout.signal) { .signalFile(id, $0) }
        case .stream(let id):
            _ = try stream(id)
            return rows(Layout.stream) { .streamFile(id, $0) }
        default: throw .notDirectory
        }
    }

    /// The directory that holds this one.
    func parent(of inode: Inode) throws(Errno) -> Inode {
        switch try node(of: inode) {
        case .directory(let directory): Node.directory(directory.parent).inode
        case .heapDirectory: Node.directory(.heaps).inode
        case .attributes: Node.directory(.attributes).inode
        case .signal: Node.directory(.signals).inode
        case .stream: Node.directory(.streams).inode
        default: throw .notDirectory
        }
    }
}
