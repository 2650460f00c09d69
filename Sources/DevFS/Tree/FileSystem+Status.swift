import Glibc
import SystemPackage

/// An entry of a directory.
package struct DirectoryEntry: Sendable, Equatable {
    package var name: String
    package var inode: Inode
    package var isDirectory: Bool
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
        let status = try backend.status(of: file.buffer.id, by: file.descriptor)
        return present(status, file.buffer)
    }

    func present(_ status: FileStatus, _ buffer: Buffer) -> FileStatus {
        var status = status
        status.inode = Node.buffer(buffer.id).inode.number
        status.links = buffer.isLinked ? 1 : 0
        status.lifetime = lifetime(of: buffer)
        status.blockSize = BufferTable.blockSize(atMost: status.blockSize, of: status.size)
        return status
    }

    func status(of node: Node) throws(Errno) -> FileStatus {
        var status =
            switch node {
            case .folder(let directory): status(of: directory)
            case .file(let directory, let row):
                try rows(Layout[directory].files).status(row, of: 0, in: self)
            case .child(let directory, let id):
                try childStatus(directory, id)
            case .childFile(let directory, let id, let row):
                try rows(Layout[directory].children?.files).status(row, of: id, in: self)
            case .nested(let directory, let id):
                try nested(directory).status(self, id)
            }
        status.inode = node.inode.number
        return status
    }

    private func childStatus(_ directory: Directory, _ id: UInt64) throws(Errno) -> FileStatus {
        guard let children = Layout[directory].children else { throw .staleNFSFileHandle }
        return try children.status(self, id)
    }

    private func status(of directory: Directory) -> FileStatus {
        // Looked at before the time: what changes in between is not lent.
        let lifetime = lifetime(of: directory)
        if directory == .buffers { lendsNames.store(true, ordering: .sequentiallyConsistent) }
        if directory == .attributes {
            lendsAttributes.store(true, ordering: .sequentiallyConsistent)
        }
        var status = directoryStatus(Layout[directory].changed?(self))
        status.lifetime = lifetime
        return status
    }

    func directoryStatus(_ time: Timestamp? = nil) -> FileStatus {
        FileStatus(
            inode: 0, mode: S_IFDIR | (0o777 & ~options.umask), uid: options.uid, gid: options.gid,
            at: time ?? started)
    }

    /// Of the buffer that a stream is; nil once it has ended.
    func bufferStatus(of stream: Stream) -> FileStatus? {
        streams.buffer(of: stream).flatMap { try? buffers.status(of: $0) }
    }

    /// The length of a text as a path tells it. A kernel that splices (sendfile(2), busybox cat)
    /// reads up to `st_size` and takes a short read for the end, so more than there is does no
    /// harm and less does; making a list of many buffers for each look-up would: the one before
    /// each command included.
    func length<S>(of file: TextFile<S>, _ subject: S) -> UInt64 {
        if let lines = file.lines?(self, subject) {
            // In whole pages, which no tool takes for an exact length; a line has 256 bytes at most.
            return lines > 0 ? UInt64(lines / 16 + 2) * 4096 : 0
        }
        if file.traits.contains(.slowToRead) {
            // An address and a length a line.
            let lines = (subject as? Buffer).flatMap { try? backend.segments(of: $0.description) }
            return UInt64(lines ?? 0) * 40
        }
        return UInt64((try? file.read?(self, subject))?.utf8.count ?? 0)
    }

    func entries(of inode: Inode) throws(Errno) -> [DirectoryEntry] {
        func entry(_ name: String, _ node: Node, isDirectory: Bool) -> DirectoryEntry {
            DirectoryEntry(name: name, inode: node.inode, isDirectory: isDirectory)
        }
        func rows(_ files: (any FileRows)?, _ node: (Int) -> Node) -> [DirectoryEntry] {
            guard let files else { return [] }
            return files.names.enumerated().filter { files.isThere($0.offset, in: self) }
                .map { entry($1, node($0), isDirectory: false) }
        }
        func list(_ directory: Directory, _ id: UInt64) throws(Errno) -> [DirectoryEntry] {
            let nested = try nested(directory)
            guard id == 0 || nested.isDirectory(id) else { throw .notDirectory }
            return try nested.list(self, id).map {
                entry($0, .nested(directory, $1), isDirectory: nested.isDirectory($1))
            }
        }
        switch try node(of: inode) {
        case .folder(let directory):
            let folder = Layout[directory]
            if let children = folder.children {
                return children.list(self).map {
                    entry($0, .child(directory, $1), isDirectory: children.isDirectory)
                }
            }
            if folder.nested != nil { return try list(directory, 0) }
            return folders(in: directory).map {
                entry($0.name, .folder($0.directory), isDirectory: true)
            } + rows(folder.files) { .file(directory, $0) }
        case .child(let directory, let id):
            guard let children = Layout[directory].children, children.isDirectory else {
                throw .notDirectory
            }
            // Of what is gone there is no list.
            _ = try children.status(self, id)
            return rows(children.files) { .childFile(directory, id, $0) }
        case .nested(let directory, let id): return try list(directory, id)
        case .file, .childFile: throw .notDirectory
        }
    }

    /// An object may have gone since the kernel was told of its directory.
    /// - Throws: ESTALE.
    func checkIsThere(_ inode: Inode) throws(Errno) {
        if case .child(let directory, let id) = try node(of: inode) {
            _ = try childStatus(directory, id)
        }
    }

    /// The directory that holds this one.
    func parent(of inode: Inode) throws(Errno) -> Inode {
        switch try node(of: inode) {
        case .folder(let directory): return Node.folder(Layout[directory].parent).inode
        case .child(let directory, _) where Layout[directory].children?.isDirectory == true:
            return Node.folder(directory).inode
        case .nested(let directory, let id):
            let nested = try nested(directory)
            guard nested.isDirectory(id) else { throw .notDirectory }
            let parent = try nested.parent(self, id)
            return (parent == 0 ? Node.folder(directory) : .nested(directory, parent)).inode
        default: throw .notDirectory
        }
    }
}
