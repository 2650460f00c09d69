import CFuse
import Glibc
import Synchronization
import SystemPackage

/// What the kernel has open, by the number in `fuse_file_info.fh`.
@safe class Handle: @unchecked Sendable {
    // *Safety*: both subclasses are final and have nothing that changes outside of a mutex.

    /// The file where it is a buffer: a look at it is all that reads and writes of bytes take.
    /// Kept alive by `OpenHandle.file`.
    @unsafe fileprivate final let buffer: Unmanaged<BufferFile>?

    fileprivate init(_ buffer: BufferFile?) {
        unsafe self.buffer = buffer.map { unsafe Unmanaged.passUnretained($0) }
    }

    func close() {}
}

/// An open file.
final class OpenHandle: Handle, @unchecked Sendable {
    let file: any OpenFile
    /// Of who opened it.
    private let charge: Quotas.Charge
    private let use: CommandInodes.Use?

    init(_ file: any OpenFile, _ charge: Quotas.Charge, _ use: CommandInodes.Use? = nil) {
        self.file = file
        self.charge = charge
        self.use = use
        super.init(file as? BufferFile)
    }

    /// Who opened it, or who pays for him.
    var user: Quotas.User { charge.user }

    override func close() { file.close() }
}

/// An open directory: one listing, made when it is read from the start.
final class DirectoryHandle: Handle, @unchecked Sendable {
    /// What this open directory lists. Its owner pays for a long one.
    struct Listing: Sendable {
        var entries: [DirectoryEntry] = []
        var charge: Quotas.Charge?
    }

    /// Entries that the quota of open files bounds well enough.
    static let free = 64
    /// Entries whose memory is worth asking the allocator for.
    static let long = 10_000
    let listing = Mutex(Listing())
    /// Of who opened it.
    private let charge: Quotas.Charge

    init(_ charge: Quotas.Charge) {
        self.charge = charge
        super.init(nil)
    }

    /// Lets go of what it lists: how many entries that were.
    func drop() -> Int {
        let old = listing.withLock { listing in
            defer { listing = Listing() }
            return listing
        }
        return old.entries.count
    }
}

/// Keeps what the kernel has open, and what is left of it when the session ends.
///
/// *Safety* of `object`: the kernel sends no request with a number before it was replied to an
/// open or after its release, and in between the object is held here. Which kind it is, is
/// checked: an ioctl comes for directories as well.
final class HandleTable: Sendable {
    private let handles = Mutex<[UInt64: Handle]>([:])
    /// Of those that outlive the server.
    private let kept = Mutex<[UInt64: KeptHandle]>([:])
    private let ledger: LedgerHandles?

    init(_ ledger: LedgerHandles? = nil) { self.ledger = ledger }

    /// By its address, or by the number that it has in the ledger.
    func insert(_ handle: Handle, as kept: KeptHandle? = nil) -> UInt64 {
        let address = unsafe UInt64(UInt(bitPattern: Unmanaged.passUnretained(handle).toOpaque()))
        let number = kept?.number ?? address
        handles.withLock { $0[number] = handle }
        KernelOrder.handedOut(address)
        if let kept {
            self.kept.withLock { $0[number] = kept }
            KeptAddresses.shared.set(address, of: number)
        }
        return number
    }

    func remove(_ number: UInt64) {
        let handle = handles.withLock { $0.removeValue(forKey: number) }
        handle?.close()
        guard let ledger, let kept = kept.withLock({ $0.removeValue(forKey: number) }) else {
            return
        }
        KeptAddresses.shared.forget(number)
        ledger.give(kept)
    }

    /// Its open was answered.
    func answered(_ number: UInt64) {
        if ledger != nil { kept.withLock { $0[number] }?.answered() }
    }

    /// Somebody polls it, by whom the kernel knows as that number.
    func polls(_ number: UInt64, as poll: UInt64) {
        if ledger != nil { kept.withLock { $0[number] }?.poll = poll }
    }

    /// The numbers of all polls.
    var polled: [UInt64] { kept.withLock { $0.values.map(\.poll).filter { $0 != 0 } } }

    private static func pointer(_ number: UInt64) -> UnsafeRawPointer? {
        let address =
            number & LedgerHandles.mark == 0 ? number : KeptAddresses.shared[number]
        KernelOrder.cameBack(address)
        return unsafe UnsafeRawPointer(bitPattern: UInt(address))
    }

    /// The object of a number that `insert` gave, without a look into the table.
    static func object<T: Handle>(_ number: UInt64, as type: T.Type) throws(Errno) -> T {
        guard let pointer = unsafe pointer(number),
            let object = unsafe Unmanaged<Handle>.fromOpaque(pointer).takeUnretainedValue() as? T
        else { throw .badFileDescriptor }
        return object
    }

    /// The open buffer of a number that `insert` gave; nil where it is something else. No
    /// reference is counted: the kernel sends no release before all else is replied to.
    static func buffer(_ number: UInt64) -> Unmanaged<BufferFile>? {
        guard let pointer = unsafe pointer(number) else { return nil }
        return unsafe Unmanaged<Handle>.fromOpaque(pointer)._withUnsafeGuaranteedRef {
            unsafe $0.buffer
        }
    }

    func removeAll() {
        let left = handles.withLock { handles in
            defer { handles.removeAll() }
            return Array(handles.values)
        }
        for handle in left { handle.close() }
    }
}

/// The registrations of backing files for passthrough: one an inode, as all its opens must share
/// it, kept as long as the buffer lives, as making one costs more than all else of an open; that of
/// a region, or of a buffer of others, as long as it is open.
final class BackingTable: Sendable {
    /// Held over the registration, so that two opens at once share one.
    private let ids = Mutex<[Inode: Int32]>([:])
    private let device: CInt
    /// Where the next server finds them.
    private let kept: LedgerBacking?

    /// - Parameter device: the session's descriptor of /dev/fuse.
    init(_ device: CInt, _ ledger: Ledger? = nil) {
        self.device = device
        kept = ledger.map { LedgerBacking($0) }
    }

    /// Goes on with those of the server before this one.
    func adopt() {
        guard let kept else { return }
        let (ids, closing) = kept.adopt()
        for (place, id) in closing.enumerated() where Syscalls.dropBacking(id, of: device) {
            if place == 0 { kept.closedNewest() }
        }
        self.ids.withLock { $0 = ids }
    }

    /// - Parameter isUsed: whose inode it is is there still.
    func closeUnused(_ isUsed: (Inode) -> Bool) {
        for inode in ids.withLock({ Array($0.keys) }) where !isUsed(inode) { drop(inode) }
    }

    /// - Throws: EPERM without CAP_SYS_ADMIN, EINVAL for what is no regular file.
    func id(for file: any BackedFile) throws(Errno) -> Int32 {
        try ids.withLock { (ids) throws(Errno) in
            if let id = ids[file.inode] { return id }
            let id = try Syscalls.registerBacking(file.descriptor, with: device)
            ids[file.inode] = id
            kept?.add(id, of: file.inode)
            return id
        }
    }

    /// The connection is over, and its registrations with it.
    func forget() { ids.withLock { $0 = [:] } }

    func drop(_ inode: Inode) {
        guard let id = ids.withLock({ $0.removeValue(forKey: inode) }) else { return }
        kept?.close(inode)
        Syscalls.dropBacking(id, of: device)
        kept?.forget(inode)
    }
}

/// A request that is replied to later, by whoever is first.
///
/// *Safety*: the request is libfuse's until it is replied to, which is for the one to do who takes it
/// out of the mutex.
@safe final class LateRequest: Sendable {
    private let request: Mutex<UInt?>
    private let taken: @Sendable () -> Void

    init(_ request: fuse_req_t, taken: @escaping @Sendable () -> Void) {
        self.request = Mutex(UInt(bitPattern: request))
        self.taken = taken
    }

    /// Nil where another one has it.
    func take() -> fuse_req_t? {
        guard let number = request.withLock({ $0.take() }),
            let request = unsafe OpaquePointer(bitPattern: number)
        else { return nil }
        taken()
        return unsafe request
    }

    func fail(_ error: Errno) {
        if let request = unsafe take() { unsafe Reply(request).error(error) }
    }
}

/// Someone who waits for a reply, and may be interrupted: his signal comes as FUSE_INTERRUPT.
protocol Waiting: AnyObject, Sendable {
    var late: LateRequest { get }
    func interrupt()
}

/// A read that waits for its reply.
final class WaitingRead: ParkedRead, Waiting {
    let size: Int
    let file: any OpenFile
    let late: LateRequest
    let undertaking: Undertaking?
    private let wasInterrupted = Atomic(false)
    /// Of who reads.
    private let charge: Quotas.Charge

    init(_ late: LateRequest, size: Int, file: any OpenFile, _ charge: Quotas.Charge) {
        self.late = late
        undertaking = Undertaking.current
        self.size = size
        self.file = file
        self.charge = charge
    }

    func finish(_ result: Result<ArraySlice<UInt8>, Errno>) {
        guard let request = unsafe late.take() else { return }
        defer { undertaking?.end() }
        let reply = unsafe Reply(request)
        switch result {
        case .success(let bytes): reply.bytes(bytes)
        case .failure(let error): reply.error(error)
        }
    }

    /// The client got a signal. It may come before the read is parked: see `parked`.
    func interrupt() {
        wasInterrupted.store(true, ordering: .sequentiallyConsistent)
        giveUp()
    }

    /// The file has taken the read.
    func parked() {
        if wasInterrupted.load(ordering: .sequentiallyConsistent) { giveUp() }
    }

    private func giveUp() {
        if file.cancel(self) { finish(.failure(.interrupted)) }
    }
}

/// A request whose work has not begun, or is under way in the pool.
final class WaitingWork: Waiting {
    let late: LateRequest
    private let uid: UInt32
    private let pool: WorkPool
    private let number = Atomic<UInt64>(0)
    private let wasInterrupted = Atomic(false)

    init(_ late: LateRequest, of uid: UInt32, in pool: WorkPool) {
        self.late = late
        self.uid = uid
        self.pool = pool
    }

    /// The pool has it, by that number.
    func queued(as number: UInt64) {
        self.number.store(number, ordering: .sequentiallyConsistent)
        if wasInterrupted.load(ordering: .sequentiallyConsistent) { interrupt() }
    }

    /// What was begun goes on to its end.
    func interrupt() {
        wasInterrupted.store(true, ordering: .sequentiallyConsistent)
        if pool.withdraw(number.load(ordering: .sequentiallyConsistent), of: uid) {
            late.fail(.interrupted)
        }
    }
}

/// A client's poll that wants to be told.
///
/// *Safety*: the handle is libfuse's, used once and given back once, by whoever takes it out of
/// the mutex.
final class WaitingPoll: PollWaiter, @unchecked Sendable {
    private let handle: Mutex<UInt?>

    init(_ handle: OpaquePointer) {
        self.handle = Mutex(UInt(bitPattern: handle))
    }

    private func take() -> OpaquePointer? {
        unsafe handle.withLock { $0.take() }.flatMap { unsafe OpaquePointer(bitPattern: $0) }
    }

    func wake() {
        guard let handle = unsafe take() else { return }
        unsafe fuse_lowlevel_notify_poll(handle)
        unsafe fuse_pollhandle_destroy(handle)
    }

    deinit {
        if let handle = unsafe take() { unsafe fuse_pollhandle_destroy(handle) }
    }
}
