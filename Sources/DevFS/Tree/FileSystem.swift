import Glibc
import Synchronization
import SystemPackage

/// How a mount is set up.
public struct TreeOptions: Sendable, Equatable {
    /// Who the tree belongs to.
    public var uid: UInt32
    public var gid: UInt32
    /// New buffers belong to that user and group too, whoever makes them.
    public var forcesUID = false
    public var forcesGID = false
    /// Bits that no file has.
    public var umask: UInt32 = 0o022
    /// Where buffers come from whose command does not say.
    public var heap = Heap.system

    public init(uid: UInt32, gid: UInt32) {
        self.uid = uid
        self.gid = gid
    }
}

/// An entry of a directory.
public struct DirectoryEntry: Sendable, Equatable {
    public var name: String
    public var inode: Inode
    public var isDirectory: Bool
}

/// What `setattr` changes; nil is left as it is.
public struct AttributeChanges: Sendable, Equatable {
    public var mode: UInt32?
    public var uid: UInt32?
    public var gid: UInt32?
    public var size: UInt64?
    /// Nanoseconds may be UTIME_NOW.
    public var accessed: Timestamp?
    public var modified: Timestamp?

    public init() {}
}

/// The tree of one device: what every call on it does, without FUSE.
public final class FileSystem: Sendable {
    let backend: any Backend
    let options: TreeOptions
    let buffers: BufferTable
    let signals: SignalTable
    let streams: StreamTable
    let leases: Leases
    let log = CommandLog()
    let metrics = Metrics()
    let socketPath: String
    let started = Timestamp.now()
    private let loop: EventLoop
    private let socket = Mutex<DescriptorSocket?>(nil)
    /// What the mount can do, known once the kernel has answered.
    private let mountFeatures = Mutex<[Feature]>([])

    init(_ backend: any Backend, _ options: TreeOptions) throws(Errno) {
        self.backend = backend
        self.options = options
        loop = try EventLoop()
        buffers = try BufferTable(backend)
        signals = SignalTable(loop)
        streams = StreamTable(buffers, signals)
        leases = Leases(loop, buffers)
        socketPath = "\(backend.runtimeDirectory)/socket"
        for buffer in buffers.all where buffer.traits.lease == .process {
            try leases.bind(buffer)
        }
    }

    /// Starts to hand out descriptors at `socketPath`.
    func openSocket() throws(Errno) {
        let server = try DescriptorSocket(self, loop, path: socketPath)
        socket.withLock { $0 = server }
    }

    var features: [Feature] { mountFeatures.withLock { $0 } + backend.features }

    func setMountFeatures(_ features: [Feature]) {
        mountFeatures.withLock { $0 = features }
    }

    /// Ends all that waits and runs; buffers stay.
    func shutDown() {
        socket.withLock { $0.take() }?.close()
        streams.removeAll()
        signals.removeAll()
        loop.shutDown()
    }

    // MARK: Look-up

    func node(of inode: Inode) throws(Errno) -> Node {
        guard let node = Node(inode) else { throw .staleNFSFileHandle }
        return node
    }

    func buffer(_ id: BufferID) throws(Errno) -> Buffer {
        guard let buffer = buffers[id] else { throw .noSuchFileOrDirectory }
        return buffer
    }

    func signal(_ id: SignalID) throws(Errno) -> Signal {
        guard let signal = signals[id] else { throw .noSuchFileOrDirectory }
        return signal
    }

    func stream(_ id: StreamID) throws(Errno) -> Stream {
        guard let stream = streams[id] else { throw .noSuchFileOrDirectory }
        return stream
    }

    func lookup(_ name: String, in parent: Inode) throws(Errno) -> FileStatus {
        try status(of: try child(name, of: try node(of: parent)))
    }

    private func child(_ name: String, of parent: Node) throws(Errno) -> Node {
        func row<S>(_ table: [TextFile<S>]) throws(Errno) -> Int {
            guard let row = table.firstIndex(where: { $0.name == name }) else {
                throw .noSuchFileOrDirectory
            }
            return row
        }
        func named() throws(Errno) -> Name {
            guard let name = Name(name) else { throw .noSuchFileOrDirectory }
            return name
        }
        switch parent {
        case .directory(.buffers), .directory(.attributes):
            guard let buffer = buffers[try named()] else { throw .noSuchFileOrDirectory }
            return parent == .directory(.buffers) ? .buffer(buffer.id) : .attributes(buffer.id)
        case .directory(.signals):
            guard let signal = signals[try named()] else { throw .noSuchFileOrDirectory }
            return .signal(signal.id)
        case .directory(.streams):
            guard let stream = streams[try named()] else { throw .noSuchFileOrDirectory }
            return .stream(stream.id)
        case .directory(.heaps):
            guard let heap = backend.heaps.first(where: { $0.name == name }) else {
                throw .noSuchFileOrDirectory
            }
            return .heapDirectory(heap)
        case .directory(let directory):
            if let child = directory.children.first(where: { $0.name == name }) {
                return .directory(child)
            }
            switch directory {
            case .root: return .rootFile(try row(Layout.root))
            case .control: return .controlFile(try row(Layout.control))
            default: throw .noSuchFileOrDirectory
            }
        case .heapDirectory(let heap): return .heapFile(heap, try row(Layout.heap))
        case .attributes(let id): return .attribute(id, try row(Layout.attributes))
        case .signal(let id): return .signalFile(id, try row(Layout.signal))
        case .stream(let id): return .streamFile(id, try row(Layout.stream))
        default: throw .notDirectory
        }
    }

    // MARK: Status

    func status(of inode: Inode, file: (any OpenFile)? = nil) throws(Errno) -> FileStatus {
        if let file = file as? BufferFile { return try status(of: file) }
        return try status(of: try node(of: inode))
    }

    /// An open buffer's, which may have no name any more.
    private func status(of file: BufferFile) throws(Errno) -> FileStatus {
        present(try Syscalls.status(of: file.descriptor), file.buffer)
    }

    private func present(_ status: FileStatus, _ buffer: Buffer) -> FileStatus {
        var status = status
        status.inode = Node.buffer(buffer.id).inode.number
        status.links = buffer.isLinked ? 1 : 0
        return status
    }

    private func status(of node: Node) throws(Errno) -> FileStatus {
        func file(_ mode: UInt32, _ time: Timestamp? = nil) -> FileStatus {
            FileStatus(
                inode: node.inode.number, mode: S_IFREG | (mode & ~options.umask),
                uid: options.uid, gid: options.gid, at: time ?? started)
        }
        func directory(_ time: Timestamp? = nil) -> FileStatus {
            FileStatus(
                inode: node.inode.number, mode: S_IFDIR | (0o777 & ~options.umask),
                uid: options.uid, gid: options.gid, at: time ?? started)
        }
        func mode<S>(_ table: [TextFile<S>], _ row: Int) throws(Errno) -> UInt32 {
            guard table.indices.contains(row) else { throw .staleNFSFileHandle }
            return table[row].mode
        }
        switch node {
        case .directory(.buffers), .directory(.attributes): return directory(buffers.changed)
        case .directory(.signals): return directory(signals.changed)
        case .directory(.streams): return directory(streams.changed)
        case .directory, .heapDirectory: return directory()
        case .rootFile(let row): return file(try mode(Layout.root, row))
        case .controlFile(let row): return file(try mode(Layout.control, row))
        case .heapFile(_, let row): return file(try mode(Layout.heap, row))
        case .buffer(let id):
            let buffer = try buffer(id)
            return present(try buffers.status(of: buffer), buffer)
        case .attributes(let id):
            return directory(try buffers.status(of: try buffer(id)).changed)
        case .attribute(let id, let row):
            let status = try buffers.status(of: try buffer(id))
            let bits = try mode(Layout.attributes, row)
            var result = file(bits, status.changed)
            // Addresses are the mount owner's business, the rest the buffer owner's.
            if bits != Layout.secret { (result.uid, result.gid) = (status.uid, status.gid) }
            return result
        case .signal(let id):
            _ = try signal(id)
            return directory(signals.changed)
        case .signalFile(let id, let row):
            _ = try signal(id)
            return file(try mode(Layout.signal, row))
        case .stream(let id):
            _ = try stream(id)
            return directory(streams.changed)
        case .streamFile(let id, let row):
            _ = try stream(id)
            return file(try mode(Layout.stream, row))
        }
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
            parent.children.map { directory($0.name, .directory($0)) }
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
            return signals.all.map { directory($0.name.text, .signal($0.id)) }
        case .directory(.streams):
            return streams.all.map { directory($0.name.text, .stream($0.id)) }
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

    // MARK: Open

    func open(_ inode: Inode, _ flags: OpenFlags) throws(Errno) -> any OpenFile {
        func text<S>(
            _ table: [TextFile<S>], _ row: Int, _ folder: String, _ subject: S
        ) throws(Errno) -> any OpenFile {
            guard table.indices.contains(row) else { throw .staleNFSFileHandle }
            let file = table[row]
            let isReadable = file.read != nil || file.open != nil
            guard isReadable || !flags.reads, file.write != nil || !flags.writes else {
                throw .permissionDenied
            }
            if let open = file.open { return try open(self, subject) }
            return OpenTextFile(file, of: subject, in: self, path: folder + file.name)
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
        case .buffer(let id):
            let buffer = try buffer(id)
            if flags.truncates && !buffer.traits.heap.isFixed {
                do throws(Refusal) {
                    try buffers.resize(buffer, to: 0, handles: 0)
                } catch {
                    throw error.errno
                }
            }
            return try BufferFile(buffer, in: buffers)
        default: throw .isDirectory
        }
    }

    /// `open(O_CREAT)`.
    func create(
        _ name: String, in parent: Inode, mode: UInt32, _ flags: OpenFlags, by caller: Caller
    ) throws(Errno) -> (FileStatus, any OpenFile) {
        guard try node(of: parent) == .directory(.buffers) else { throw .notPermitted }
        guard let valid = Name(name) else { throw .invalidArgument }
        do throws(Refusal) {
            let traits = BufferTraits(heap: options.heap).owned(by: caller.pid)
            let buffer = try buffers.allocate(
                valid, size: 0, traits: traits, owner: ownership(of: caller, mode: mode))
            metrics.allocations.add()
            let file = try refusing("opening") { () throws(Errno) in
                try BufferFile(buffer, in: buffers)
            }
            return (try refusing("reading") { () throws(Errno) in try status(of: file) }, file)
        } catch  where error.errno == .fileExists && !flags.isExclusive {
            let inode = Inode(try lookup(name, in: parent).inode)
            let file = try open(inode, flags)
            return (try status(of: inode, file: file), file)
        } catch {
            throw error.errno
        }
    }

    private func refusing<T>(
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
    func allocate(_ request: AllocationRequest, by caller: Caller) throws(Refusal) {
        let heap = request.heap ?? options.heap
        guard backend.heaps.contains(heap) else {
            throw .invalid("this device has no \(heap.name) heap")
        }
        let traits = BufferTraits(
            heap: heap, direction: request.direction, lease: request.lease
        ).owned(by: caller.pid)
        if request.lease == .process && traits.ownerStart == 0 {
            throw Refusal(.noSuchProcess, "the process of the lease is not to be seen from here")
        }
        let buffer = try buffers.allocate(
            request.name, size: request.size, traits: traits,
            owner: ownership(of: caller, mode: 0o666))
        metrics.allocations.add()
        if request.lease == .process {
            try refusing("watching the process") { () throws(Errno) in try leases.bind(buffer) }
        }
    }

    /// What `df` shows.
    func space() throws(Errno) -> SpaceStatus {
        var space = try backend.space()
        space.files = UInt64(buffers.count)
        return space
    }

    // MARK: Changes

    func unlink(_ name: String, in parent: Inode) throws(Errno) {
        guard try node(of: parent) == .directory(.buffers) else { throw .notPermitted }
        guard let valid = Name(name), let buffer = buffers[valid] else {
            throw .noSuchFileOrDirectory
        }
        try remove(buffer)
    }

    func remove(_ buffer: Buffer) throws(Errno) {
        leases.unbind(buffer.id)
        try buffers.remove(buffer)
        metrics.frees.add()
    }

    func rename(
        _ old: String, in parent: Inode, to new: String, in newParent: Inode, flags: RenameFlags
    ) throws(Errno) {
        guard try node(of: parent) == .directory(.buffers),
            try node(of: newParent) == .directory(.buffers)
        else { throw .notPermitted }
        guard flags.isSubset(of: [.noReplace, .exchange]) else { throw .invalidArgument }
        guard let source = Name(old), let buffer = buffers[source] else {
            throw .noSuchFileOrDirectory
        }
        guard let target = Name(new) else { throw .invalidArgument }
        try buffers.rename(buffer, to: target, flags: flags)
    }

    func setAttributes(
        _ changes: AttributeChanges, of inode: Inode, file: (any OpenFile)?, by caller: Caller
    ) throws(Errno) -> FileStatus {
        guard case .buffer(let id) = try node(of: inode) else { throw .notPermitted }
        let open = file as? BufferFile
        let buffer = if let open { open.buffer } else { try buffer(id) }
        if let size = changes.size {
            do throws(Refusal) {
                try buffers.resize(buffer, to: size, handles: open == nil ? 0 : 1)
            } catch {
                log.add(error, command: "\(size)".utf8, file: "buffers/\(buffer.name)", by: caller)
                throw error.errno
            }
        }
        if changes.mode ?? changes.uid ?? changes.gid != nil
            || changes.accessed != nil || changes.modified != nil
        {
            do throws(Refusal) {
                try buffers.withMemory(of: buffer) { (memory) throws(Refusal) in
                    try refusing("changing") { () throws(Errno) in
                        try apply(changes, to: memory.descriptor.raw)
                    }
                }
            } catch {
                throw error.errno
            }
        }
        if let open { return try status(of: open) }
        return try status(of: .buffer(id))
    }

    private func apply(_ changes: AttributeChanges, to descriptor: CInt) throws(Errno) {
        if changes.uid ?? changes.gid != nil {
            try Syscalls.setOwner(
                descriptor, uid: changes.uid ?? UInt32.max, gid: changes.gid ?? UInt32.max)
        }
        if let mode = changes.mode { try Syscalls.setMode(descriptor, mode & 0o777) }
        if changes.accessed != nil || changes.modified != nil {
            let omit = Timestamp(seconds: 0, nanoseconds: Timestamp.unchanged)
            try Syscalls.setTimes(
                descriptor, accessed: changes.accessed ?? omit,
                modified: changes.modified ?? omit)
        }
    }
}

extension BufferTraits {
    /// With the process that the buffer belongs to.
    func owned(by owner: ProcessID) -> BufferTraits {
        var traits = self
        traits.owner = owner
        traits.ownerStart = ProcessHandle.startTime(of: owner) ?? 0
        return traits
    }

    /// The owner's pid while it lives, else 0.
    var livingOwner: Int32 {
        guard owner.number > 0, ProcessHandle.startTime(of: owner) == ownerStart else { return 0 }
        return owner.number
    }
}

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
