import CFuse
import Glibc
import Synchronization
import SystemPackage

/// A FUSE session over a tree: an adapter, where every operation is one call and one reply.
@safe final class Session: Sendable {
    /// What the mount may use.
    struct Wishes: Sendable {
        var passthrough = true
        /// Without it the session ends at once.
        var needsPassthrough = false
        var ioUring = false
        var poll = true
    }

    let tree: FileSystem
    /// The tree's own, which the tree keeps: counting takes no reference.
    @unsafe private let counters: Unmanaged<Metrics>
    let wishes: Wishes
    let handles: HandleTable
    /// Open files that the server before this one had not told of, by the request.
    let unanswered = Mutex<[UInt64: UInt64]>([:])
    /// What the kernel and libfuse agreed on.
    private let agreed = Mutex(cfuse_features())
    private let backing = Mutex<BackingTable?>(nil)
    /// libfuse's session, to end it from within.
    private let fuse = Mutex<UInt>(0)
    private let refusal = Atomic(false)
    private let rings = Atomic(false)
    private let ready = Mutex<(@Sendable () -> Void)?>(nil)
    private let waiting = Sharded<any Waiting>()
    private let nextWaiting = Atomic<UInt>(1)

    init(_ tree: FileSystem, _ wishes: Wishes) {
        self.tree = tree
        handles = HandleTable(tree.ledger?.handles)
        unsafe counters = .passUnretained(tree.metrics)
        self.wishes = wishes
    }

    static func of(_ request: fuse_req_t) -> Session {
        unsafe Unmanaged<Session>.fromOpaque(fuse_req_userdata(request)).takeUnretainedValue()
    }

    /// Runs with the session of a request, which outlives it: no reference is counted.
    static func with<T>(_ request: fuse_req_t, _ body: (Session) -> T) -> T {
        unsafe Unmanaged<Session>.fromOpaque(fuse_req_userdata(request))
            ._withUnsafeGuaranteedRef(body)
    }

    func count(_ body: (Metrics) -> Void) { unsafe counters._withUnsafeGuaranteedRef(body) }

    /// Gives it the mounted session of libfuse.
    func attach(_ fuse: OpaquePointer) {
        let table = unsafe BackingTable(fuse_session_fd(fuse), tree.ledger)
        backing.withLock { $0 = table }
        let number = UInt(bitPattern: fuse)
        self.fuse.withLock { $0 = number }
        tree.buffers.whenGone { table.drop(Node.buffer($0).inode) }
        // The module has but one of a BAR's two files open at a time.
        tree.regionUse.idle.set { table.drop($0) }
        tree.buffers.useOfOthers.idle.set { table.drop($0) }
        tree.stale.set { [weak self] in self?.forgetStatus(of: $0) }
    }

    /// The kernel asks for the status of an inode again, if it has it. It waits for nobody.
    func forgetStatus(of inode: Inode) {
        fuse.withLock { number in
            guard let fuse = unsafe OpaquePointer(bitPattern: number) else { return }
            // A negative offset is none of the file's bytes: fs/fuse/inode.c, fuse_reverse_inval_inode
            unsafe fuse_lowlevel_notify_inval_inode(fuse, fuse_ino_t(inode.number), -1, 0)
        }
    }

    /// The kernel looks all names up anew. It waits for nobody.
    func forgetNames() {
        fuse.withLock { number in
            guard let fuse = unsafe OpaquePointer(bitPattern: number) else { return }
            _ = unsafe cfuse_session_forget_names(fuse)
        }
    }

    /// Before libfuse's session goes: a thread of the pool that was stuck may go on later.
    func detach() {
        fuse.withLock { $0 = 0 }
        backing.withLock { $0 }?.forget()
    }

    var backingTable: BackingTable? { backing.withLock { $0 } }

    // MARK: Negotiation

    func negotiate(_ connection: UnsafeMutablePointer<fuse_conn_info>) {
        var got = cfuse_features()
        unsafe cfuse_negotiate(
            connection, wishes.passthrough && tree.backend.allowsPassthrough, wishes.ioUring, &got)
        if tree.ledger != nil { unsafe cfuse_session_agreed(connection) }
        let agreed = got
        self.agreed.withLock { $0 = agreed }
        rings.store(agreed.io_uring, ordering: .releasing)
        if agreed.forgets_names { tree.lendNames { [weak self] in self?.forgetNames() } }
        let why = passthroughObstacle(agreed)
        tree.setMountFeatures([
            Feature("passthrough", agreed.passthrough, why),
            Feature("mmap", agreed.passthrough, why),
            Feature("io_uring", agreed.io_uring, ringObstacle(agreed)),
            Feature("parallel_direct_writes", agreed.parallel_direct_writes),
            Feature(
                "poll", wishes.poll, wishes.poll ? "" : "switched off by the mount option no_poll"),
            Feature("sandbox", Sandbox.obstacle == nil, Sandbox.obstacle ?? ""),
        ])
        if wishes.needsPassthrough && !agreed.passthrough {
            refusal.store(true, ordering: .releasing)
            if let fuse = unsafe OpaquePointer(bitPattern: fuse.withLock { $0 }) {
                unsafe fuse_session_exit(fuse)
            }
            return
        }
        ready.withLock { $0.take() }?()
        if !agreed.passthrough {
            tree.log.add(
                Refusal(.noDevice, "mmap is refused on this mount: \(why)"), command: "mmap".utf8,
                file: "buffers/", by: Caller(pid: ProcessID(getpid()), uid: getuid(), gid: getgid())
            )
        }
    }

    /// Requests come over io_uring.
    var usesRings: Bool { rings.load(ordering: .acquiring) }

    /// The mount wants passthrough and the kernel has none.
    var isRefused: Bool { refusal.load(ordering: .acquiring) }

    func whenReady(_ action: @escaping @Sendable () -> Void) {
        ready.withLock { $0 = action }
    }

    /// Why there is no passthrough, and what to install; empty where there is.
    private func passthroughObstacle(_ agreed: cfuse_features) -> String {
        if agreed.passthrough { return "" }
        if !wishes.passthrough { return "switched off by the mount option no_passthrough" }
        if !tree.backend.allowsPassthrough {
            return "the server has no CAP_SYS_ADMIN: mount as root"
        }
        if !cfuse_has_passthrough() {
            return "built with libfuse \(unsafe String(cString: cfuse_header_version())); "
                + "install libfuse 3.17 or newer and build again"
        }
        return "the kernel has FUSE 7.\(agreed.protocol_minor); install kernel 6.9 or newer"
    }

    private func ringObstacle(_ agreed: cfuse_features) -> String {
        if agreed.io_uring {
            return "reads of wait and data give EAGAIN instead of waiting: poll them"
        }
        if !wishes.ioUring { return "the mount option io_uring asks for it" }
        return agreed.protocol_minor < 42
            ? "the kernel has FUSE 7.\(agreed.protocol_minor); install kernel 6.14 or newer"
            : "switched off: echo 1 > /sys/module/fuse/parameters/enable_uring, then mount again"
    }

    // MARK: Open files

    /// Fills the reply to an open.
    /// - Throws: ENFILE where the ledger of a kept mount has no room for one more.
    func fill(
        _ info: UnsafeMutablePointer<fuse_file_info>, _ handle: OpenHandle, _ flags: OpenFlags,
        of inode: Inode, by caller: Caller
    ) throws(Errno) {
        do throws(Errno) {
            unsafe setFlags(of: info, handle, flags)
            unsafe info.pointee.fh = try number(handle, of: inode, flags, by: caller)
        } catch {
            handle.close()
            throw error
        }
    }

    /// The same for what is open already.
    func fill(
        _ info: UnsafeMutablePointer<fuse_file_info>, _ number: UInt64, _ flags: OpenFlags
    ) throws(Errno) -> any OpenFile {
        let handle = try HandleTable.object(number, as: OpenHandle.self)
        unsafe setFlags(of: info, handle, flags)
        unsafe info.pointee.fh = number
        return handle.file
    }

    func setFlags(
        of info: UnsafeMutablePointer<fuse_file_info>, _ handle: OpenHandle, _ flags: OpenFlags
    ) {
        let agreed = self.agreed.withLock { $0 }
        var id: Int32 = 0
        var goesToServer = true
        if let file = handle.file as? any BackedFile, agreed.passthrough,
            let table = backing.withLock({ $0 })
        {
            // A file that cannot be registered is served: slower, and mmap is refused.
            id = (try? table.id(for: file)) ?? 0
            if id > 0 { tree.metrics.passthroughOpens.add() }
            goesToServer = id == 0 || (file.guardsSize && flags.writes)
            if id > 0 { (file as? BufferFile)?.passesBy(writes: !goesToServer && flags.writes) }
        }
        unsafe cfuse_set_open(
            info, goesToServer, !handle.file.isSeekable, !handle.file.hasEnd,
            agreed.parallel_direct_writes, id)
    }

    /// A listing, which an open directory keeps.
    /// - Throws: ENOMEM beyond the quota of text.
    func pay(
        for entries: [DirectoryEntry], by caller: Caller
    ) throws(Errno) -> DirectoryHandle.Listing {
        guard entries.count > DirectoryHandle.free else { return .init(entries: entries) }
        let bytes = UInt64(entries.count * MemoryLayout<DirectoryEntry>.stride)
        guard let charge = tree.quotas.tryCharge(.text, bytes, to: caller.uid) else {
            throw Quotas.Resource.text.errno
        }
        return .init(entries: entries, charge: charge)
    }

    /// - Throws: EMFILE where the caller has all that he can have open.
    func chargeOpen(to caller: Caller) throws(Errno) -> Quotas.Charge {
        guard let charge = tree.quotas.tryCharge(.files, to: caller.uid) else {
            throw Quotas.Resource.files.errno
        }
        return charge
    }

    // MARK: Reads that wait

    func read(
        _ request: fuse_req_t, _ handle: OpenHandle, at offset: UInt64, size: Int, waits: Bool
    ) throws(Errno) -> Answer {
        let file = handle.file
        // The server before this one was at its answer.
        if let answer = Undertaking.current?.answer, let bytes = try file.again(answer) {
            return .bytes(bytes)
        }
        // libfuse (3.18) cannot interrupt a request on a ring, and frees it before we could answer at
        // the end: no read waits there.
        guard file.waits, waits, !usesRings else {
            switch try file.read(at: offset, size: size, parked: nil) {
            case .bytes(let bytes)?:
                tree.metrics.addRead(bytes.count)
                return .bytes(bytes)
            case nil: throw .resourceTemporarilyUnavailable
            }
        }
        let uid = unsafe Operations.caller(of: request).uid
        // Mostly who opened it, who is at hand: thousands may read at the same time.
        let user = handle.user.uid == uid ? handle.user : tree.quotas.user(uid)
        guard let charge = user.tryCharge(.waits) else {
            throw Quotas.Resource.waits.errno
        }
        let read = unsafe wait(for: request) { WaitingRead($0, size: size, file: file, charge) }
        do throws(Errno) {
            switch try file.read(at: offset, size: size, parked: read) {
            case .bytes(let bytes)?:
                tree.metrics.addRead(bytes.count)
                read.finish(.success(bytes))
            case nil: read.parked()
            }
        } catch {
            read.finish(.failure(error))
        }
        return .parked
    }

    /// Somebody waits for the reply to a request from here on: another thread may send it at any time,
    /// which frees the request.
    private func wait<T: Waiting>(for request: fuse_req_t, _ make: (LateRequest) -> T) -> T {
        let number = nextWaiting.add(1, ordering: .relaxed).oldValue
        let late = unsafe LateRequest(request) { [weak self] in
            self?.waiting[number] = nil
        }
        let waiter = make(late)
        waiting[number] = waiter
        unsafe fuse_req_interrupt_func(
            request,
            { request, number in
                guard let request = unsafe request else { return }
                unsafe Session.of(request).interrupt(UInt(bitPattern: number))
            }, UnsafeMutableRawPointer(bitPattern: number))
        return waiter
    }

    // MARK: Requests that may take long

    /// Whether a request in that lane is left to the pool. One on a ring can't be replied to later (see
    /// `read`): it is done by the ring's thread, which is everyone's.
    /// - Throws: EOPNOTSUPP where that could wait for a device of others.
    func canWait(_ lane: BufferID?) throws(Errno) -> Bool {
        guard usesRings else { return true }
        if let lane, tree.buffers[lane]?.isForeign ?? false { throw .notSupported }
        return false
    }

    /// Serves a request on a thread of the pool, as work of `uid`, in the lane of a buffer.
    /// - Parameters:
    ///   - bytes: that the request keeps until then.
    ///   - body: sends nothing itself.
    func serveLater(
        _ request: fuse_req_t, _ info: fuse_file_info?, of uid: UInt32, lane: BufferID?,
        bytes: Int = 0, for undertaking: Undertaking? = nil,
        _ body: @escaping @Sendable (Session, Caller, inout fuse_file_info) throws(Errno) -> Answer
    ) throws(Errno) {
        let user = tree.quotas.user(uid)
        guard let charge = user.tryCharge(.requests) else {
            throw Quotas.Resource.requests.errno
        }
        guard let kept = user.tryCharge(.queued, UInt64(bytes)) else {
            throw Quotas.Resource.queued.errno
        }
        let caller = unsafe Operations.caller(of: request)
        let work = unsafe wait(for: request) { WaitingWork($0, of: user.uid, in: tree.pool) }
        let late = work.late
        let given = info ?? fuse_file_info()
        let number = tree.pool.run(
            WorkPool.Item(
                uid: user.uid, lane: lane,
                body: { [self] in
                    defer { withExtendedLifetime((charge, kept)) {} }
                    Operations.answer(late, self, given) {
                        (info) throws(Errno) in
                        try Undertaking.during(undertaking) { () throws(Errno) in
                            try body(self, caller, &info)
                        }
                    }
                    undertaking?.end()
                }, stalled: { late.fail(.resourceBusy) }))
        work.queued(as: number)
    }

    private func interrupt(_ number: UInt) {
        tree.metrics.interrupts.add()
        waiting[number]?.interrupt()
    }

    /// Answers all that waits and closes all that is open: the connection is over.
    func end() {
        tree.shutDown()
        for waiter in waiting.all { waiter.late.fail(.noDevice) }
        handles.removeAll()
    }
}
