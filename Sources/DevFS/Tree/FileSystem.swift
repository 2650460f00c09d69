import CFuse
import Glibc
import Synchronization
import SystemPackage

/// How a mount is set up.
package struct TreeOptions: Sendable, Equatable {
    /// Who the tree belongs to.
    package var uid: UInt32
    package var gid: UInt32
    /// New buffers belong to that user and group too, whoever makes them.
    package var forcesUID = false
    package var forcesGID = false
    /// Users other than the server's own may enter.
    package var allowsOthers = false
    /// Nothing may be written.
    package var isReadOnly = false
    /// Bits that no file has.
    package var umask: UInt32 = 0o022
    /// Where buffers come from whose command does not say.
    package var heap = Heap.system
    /// What each user can have, instead of the defaults.
    var quotas: [Quotas.Resource: UInt64] = [:]

    package init(uid: UInt32, gid: UInt32) {
        self.uid = uid
        self.gid = gid
    }
}

/// What becomes of the mount while it is served.
protocol MountState: Sendable {
    /// It, or its file system, can't be written; nil where that can't be told.
    var isReadOnly: Bool? { get }
}

/// The tree of one device: what every call on it does, without FUSE.
package final class FileSystem: Sendable {
    let backend: any Backend
    let hardware: (any Hardware)?
    let options: TreeOptions
    let buffers: BufferTable
    let signals: SignalTable
    let streams: StreamTable
    let leases: Leases
    let quotas: Quotas
    let log: CommandLog
    let logViews = LogViews()
    /// The text of `control/alloc`.
    let lists = Together<String>()
    let metrics = Metrics()
    /// Nil where the mount has no map of them.
    let registers: Registers?
    let regionUse = FileUse()
    /// The kernel may have been lent the times of `buffers/`, and those of `attributes/`.
    let lendsNames = Atomic(false)
    let lendsAttributes = Atomic(false)
    let lentNames = LentNames()
    /// Called when the kernel must not use a status any more that it was lent.
    let stale = Callback<Inode>()
    let closings = Closings()
    /// Of the socket for everybody, and of the one that nobody but the mount's owner and root can
    /// use up. They are of one length, as `st_size` tells it.
    let socketPath: String
    let ownersSocketPath: String
    let started = Timestamp.now()
    /// Does what may take long or wait for somebody.
    let pool: WorkPool
    /// Nil where nothing but the buffers outlives the server.
    let ledger: Ledger?
    private let loop: EventLoop
    private let sockets = Mutex<[DescriptorSocket]>([])
    /// The newest texts of files that tell of many objects: who opens one that says the same shares it.
    let reports = Mutex<[String: Report]>([:])
    /// Memory is about to be given back.
    let isTidying = Atomic(false)
    let commandInodes = CommandInodes()
    /// What the mount can do, known once the kernel has answered.
    private let mountFeatures = Mutex<[Feature]>([])
    private let wasRemoved = Atomic(false)

    init(
        _ backend: any Backend, _ options: TreeOptions, hardware: (any Hardware)? = nil,
        registers: Registers? = nil, ledger: Ledger? = nil
    ) throws(Errno) {
        self.backend = backend
        self.registers = registers
        self.ledger = ledger
        let hardware = hardware ?? backend.hardware
        self.hardware = hardware
        self.options = options
        loop = try EventLoop()
        let quotas = Quotas(
            administrators: [options.uid, geteuid()], limits: options.quotas,
            subordinates: SubordinateUsers(readingFrom: "/etc/subuid"))
        self.quotas = quotas
        log = CommandLog { quotas.payer(of: $0) }
        pool = try WorkPool(loop) { quotas.isLimited($0) }
        buffers = try BufferTable(backend)
        let ends = try? FileEnds(loop)
        buffers.ends.withLock { $0 = ends }
        signals = SignalTable(
            loop, device: hardware?.events, owner: options.uid, quotas: quotas,
            ledger: ledger.map { LedgerSignals($0) })
        streams = StreamTable(buffers, signals, quotas: quotas, ledger: ledger)
        leases = Leases(loop, buffers, stale, lentNames)
        socketPath = "\(backend.runtimeDirectory)/socket"
        ownersSocketPath = "\(backend.runtimeDirectory)/owners"
        buffers.whenUnlinked { [weak leases, metrics] in
            leases?.unbind($0)
            metrics.frees.add()
        }
        buffers.exporting.set { [stale] in stale.call(Node.buffer($0).inode) }
        // Not before the last of them is let go of by who removes it.
        buffers.emptied.set { [weak self] in self?.giveBackMemory() }
        limitUsers()
        if let events = hardware?.events { try follow(events) }
        if let ledger {
            buffers.keepsUsed.store(true, ordering: .relaxed)
            Node.server.store(ledger.server, ordering: .relaxed)
            if ledger.isAdopted { adopt(ledger) }
        }
        for buffer in buffers.all where buffer.traits.lease == .process {
            do throws(Errno) {
                try leases.bind(buffer)
            } catch {
                // Better a buffer that stays than a device that can't be mounted.
                log.add(
                    Refusal(error, "its process can't be watched: the buffer stays"),
                    command: "lease=process".utf8, file: "attributes/\(buffer.name)/lease",
                    by: Caller(pid: buffer.traits.owner, uid: getuid(), gid: getgid()))
            }
        }
    }

    /// Goes on with what the server before this one had beside the buffers.
    private func adopt(_ ledger: Ledger) {
        for id in ledger.usedBuffers {
            guard buffers[id] == nil,
                let memory = backend as? MemoryBackend
            else { continue }
            do throws(Errno) {
                let removed = try memory.openRemoved(id)
                let description = removed.description
                buffers.adopt(description, removed.takeFile())
            } catch {
                // Its open files are ENODEV.
            }
        }
        signals.adopt()
        streams.adopt()
        signals.resume()
    }

    private func follow(_ events: any EventDevice) throws(Errno) {
        signals.gone.withLock { gone in
            gone = { [weak self] in
                guard let self else { return }
                wasRemoved.store(true, ordering: .releasing)
                streams.endAll()
                // A server of the next device of that name may come from here on.
                closeSockets(waits: false)
                backend.lock?.letGo()
            }
        }
        signals.stormy.set { [log] signal in
            log.add(
                Refusal(
                    .resourceBusy,
                    "more events in a second than the module's parameter irq_storm allows: "
                        + "it is masked; 1 in enable unmasks"),
                command: "storm".utf8, file: "signals/\(signal.name)/enable",
                by: Caller(pid: ProcessID(getpid()), uid: getuid(), gid: getgid()))
        }
        try signals.follow(events)
    }

    /// Set once there is one that root can remount.
    let mount = Mutex<(any MountState)?>(nil)

    /// Nothing may be written by descriptors that the socket hands out.
    var isReadOnly: Bool {
        let mount = mount.withLock { $0 }
        return mount?.isReadOnly ?? options.isReadOnly
    }

    /// The device was removed: what is left of the tree is ENODEV.
    var isGone: Bool { wasRemoved.load(ordering: .acquiring) }

    /// Starts to hand out descriptors at `socketPath`.
    func openSocket() throws(Errno) {
        let all = try DescriptorSocket(self, path: socketPath, isPrivate: false)
        sockets.withLock { $0.append(all) }
        let owners = try DescriptorSocket(self, path: ownersSocketPath, isPrivate: true)
        sockets.withLock { $0.append(owners) }
    }

    private func closeSockets(waits: Bool) {
        let all = sockets.withLock { sockets in
            defer { sockets.removeAll() }
            return sockets
        }
        for socket in all { socket.close(waits: waits) }
    }

    /// The path that a user is told.
    func socketPath(for uid: UInt32) -> String {
        isAdministrator(uid) ? ownersSocketPath : socketPath
    }

    var features: [Feature] {
        let failover = failover.withLock { $0 }?()
        return mountFeatures.withLock { $0 } + (failover.map { [$0] } ?? []) + backend.features
    }

    /// Whether the mount goes on where the server dies; nil where there is no mount.
    let failover = Mutex<(@Sendable () -> Feature)?>(nil)
    /// Who starts the next server, for people.
    let keeper = Mutex<(@Sendable () -> String)?>(nil)

    func setMountFeatures(_ features: [Feature]) {
        mountFeatures.withLock { $0 = features }
    }

    /// Runs something on the event loop's thread, behind what it does now.
    func afterEvents(_ body: @escaping @Sendable () -> Void) { loop.perform(body) }

    /// Ends all that waits and runs; buffers stay.
    func shutDown() {
        closeSockets(waits: true)
        streams.removeAll()
        signals.removeAll()
        pool.shutDown()
        loop.shutDown()
        buffers.reclaim.settle()
    }

    // MARK: Look-up

    func node(of inode: Inode) throws(Errno) -> Node {
        guard let node = Node(inode) else { throw .staleNFSFileHandle }
        return node
    }

    // ESTALE, not ENOENT, for a number whose object is gone: the kernel looks the name up anew, and
    // finds who has it now.
    func buffer(_ id: BufferID) throws(Errno) -> Buffer {
        guard let buffer = buffers[id] else { throw .staleNFSFileHandle }
        return buffer
    }

    func signal(_ id: SignalID) throws(Errno) -> Signal {
        guard let signal = signals[id] else { throw .staleNFSFileHandle }
        return signal
    }

    func stream(_ id: StreamID) throws(Errno) -> Stream {
        guard let stream = streams[id] else { throw .staleNFSFileHandle }
        return stream
    }

    func lookup(_ name: String, in parent: Inode) throws(Errno) -> FileStatus {
        try checkLength(name)
        let node = try node(of: parent)
        // Before the name is looked up: what is taken away in between is taken back.
        let isLent = lentNames.begin(in: node)
        var status = try status(of: try child(name, of: node))
        if isLent { status.nameLifetime = status.lifetime }
        return status
    }

    /// Of a name that is looked up.
    func checkLength(_ name: String) throws(Errno) {
        if name.utf8.count > Name.longest { throw .fileNameTooLong }
    }

    /// `.`, the file of a number that the kernel has forgotten, and `..`, for who has a file handle.
    ///
    /// Nil for any other name.
    func lookup(handle name: String, in inode: Inode) throws(Errno) -> (FileStatus, Inode)? {
        switch name {
        // By the very number: that of a command file is not the file's own.
        case ".": return (try status(of: inode), inode)
        case "..":
            let parent = try parent(of: inode)
            return (try status(of: parent), parent)
        default: return nil
        }
    }

    private func child(_ name: String, of parent: Node) throws(Errno) -> Node {
        func row(_ files: (any FileRows)?) throws(Errno) -> Int {
            guard let files, let row = files.names.firstIndex(of: name),
                files.isThere(row, in: self)
            else { throw .noSuchFileOrDirectory }
            return row
        }
        switch parent {
        case .folder(let directory):
            let folder = Layout[directory]
            if let children = folder.children {
                guard let id = children.find(self, name) else { throw .noSuchFileOrDirectory }
                return .child(directory, id)
            }
            if let nested = folder.nested {
                guard let id = try nested.find(self, 0, name) else { throw .noSuchFileOrDirectory }
                return .nested(directory, id)
            }
            if let below = folders(in: directory).first(where: { $0.name == name }) {
                return .folder(below.directory)
            }
            return .file(directory, try row(folder.files))
        case .child(let directory, let id):
            guard let children = Layout[directory].children, children.isDirectory else {
                throw .notDirectory
            }
            return .childFile(directory, id, try row(children.files))
        case .nested(let directory, let id):
            let nested = try nested(directory)
            guard nested.isDirectory(id) else { throw .notDirectory }
            guard let below = try nested.find(self, id, name) else { throw .noSuchFileOrDirectory }
            return .nested(directory, below)
        case .file, .childFile: throw .notDirectory
        }
    }

    var regions: [Region] { hardware?.regions ?? [] }

    func region(_ index: UInt64) throws(Errno) -> Region {
        guard let region = regions.first(where: { UInt64($0.index) == index }) else {
            throw .staleNFSFileHandle
        }
        return region
    }

    /// The folders in one that are there on this device.
    func folders(in directory: Directory) -> [Folder] {
        Layout.folders.filter {
            $0.directory != .root && $0.parent == directory && $0.isThere?(self) ?? true
        }
    }

    /// What `df` shows. Whoever resizes the device asks for it, so that users' limits follow.
    func space() throws(Errno) -> SpaceStatus {
        var space = try backend.space()
        limitBytes(to: space.size)
        space.files = UInt64(buffers.count)
        return space
    }
}
