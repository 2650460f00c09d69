import CFuse
import Glibc
import Synchronization
import SystemPackage

/// The UNIX socket that hands out descriptors, which can't cross FUSE: a buffer's file, a region's, a
/// signal's eventfd. It takes them, too: memory that is to be a buffer.
///
/// It only accepts: all else, the refusal of a connection included, is done by the thread of the user
/// whose connection it is (`SocketUser`). A connection that is only closed can keep its closer
/// waiting, as descriptors may be queued in it.
final class DescriptorSocket: Sendable {
    /// Connections of one user, refused ones that are not closed yet included, at which he is kept
    /// from the socket.
    private static let flood = 64
    /// Entries of the socket's access control list: one is of 8 bytes, and all are of 64 KiB at most.
    private static let deniedInAll = 4096
    /// Users who can have a thread.
    private static let usersInAll = 256

    private struct State {
        var users: [UInt32: SocketUser] = [:]
        /// Those who are kept from the socket, by who pays for them.
        var denied: [UInt32: Set<UInt32>] = [:]
        var isClosed = false
    }

    let tree: FileSystem
    private let loop: EventLoop
    private let path: String
    private let listener: SharedDescriptor
    private let watch = Mutex<EventLoop.Watch?>(nil)
    private let spare = Mutex<SharedDescriptor?>(nil)
    private let state = Mutex(State())
    /// Users whose thread has not ended yet.
    private let living = Atomic(0)

    /// - Parameter isPrivate: for the mount's owner, and root, alone.
    init(_ tree: FileSystem, path: String, isPrivate: Bool) throws(Errno) {
        self.tree = tree
        self.path = path
        loop = try EventLoop("devfs-accept")
        // What a server that died left there.
        try? Syscalls.unlink(path, at: Syscalls.currentDirectory)
        // Who asks is checked by his credentials.
        let isOpen = tree.options.allowsOthers && !isPrivate
        listener = SharedDescriptor(
            try Syscalls.listen(
                at: path, uid: tree.options.uid, gid: tree.options.gid,
                mode: isOpen ? 0o666 : 0o600))
        spare.withLock { $0 = Self.spareDescriptor() }
        let started = try loop.watch(listener.raw) { [weak self] in self?.accept() }
        watch.withLock { $0 = started }
    }

    private func accept() {
        do throws(Errno) {
            let connection = try Syscalls.accept(listener.raw)
            // Without a user there is nobody whose thread could close it.
            guard let uid = (try? Self.peer(of: connection.raw))?.1.uid,
                let user = user(tree.quotas.payer(of: uid))
            else { return }
            if user.take(connection) >= Self.flood { keepOut(uid, of: user.uid) }
        } catch {
            if error == .tooManyOpenFiles || error == .tooManyOpenFilesInSystem { refuseOne() }
        }
    }

    private func user(_ uid: UInt32) -> SocketUser? {
        state.withLock { state in
            if let user = state.users[uid] { return user }
            guard !state.isClosed,
                state.users.count < Self.usersInAll || !tree.quotas.isLimited(uid)
            else { return nil }
            let fresh = try? SocketUser(uid, tree) { [weak self] in self?.closed($0, $1) }
            state.users[uid] = fresh
            if fresh != nil { living.add(1, ordering: .relaxed) }
            return fresh
        }
    }

    /// A user has closed a connection; who has none left needs no thread.
    private func closed(_ user: SocketUser, _ left: Int) {
        if left == Self.flood / 2 { letIn(user.uid) }
        guard left == 0 else { return }
        // On the thread that takes connections, so that none comes in between.
        loop.perform { [self] in
            let isIdle = state.withLock { state in
                guard user.isIdle, state.users[user.uid] === user else { return false }
                state.users[user.uid] = nil
                return true
            }
            if isIdle { end(user) }
        }
    }

    private func end(_ user: SocketUser) {
        user.end { [self] in living.subtract(1, ordering: .relaxed) }
    }

    /// Who has so many connections that are not even closed is kept from the socket until they are.
    private func keepOut(_ uid: UInt32, of payer: UInt32) {
        guard tree.quotas.isLimited(payer) else { return }
        let isNews = state.withLock { state in
            guard state.denied.reduce(0, { $0 + $1.value.count }) < Self.deniedInAll else {
                return false
            }
            return state.denied[payer, default: []].insert(uid).inserted
        }
        if isNews { deny() }
    }

    private func letIn(_ payer: UInt32) {
        if state.withLock({ $0.denied.removeValue(forKey: payer) }) != nil { deny() }
    }

    private func deny() {
        let denied = state.withLock { $0.denied.values.flatMap { $0 }.sorted() }
        Syscalls.deny(path, to: denied)
    }

    /// Without a free descriptor the caller would be announced for ever: the spare one is used to
    /// take him off the queue.
    private func refuseOne() {
        spare.withLock { $0 = nil }
        _ = try? Syscalls.accept(listener.raw)
        spare.withLock { $0 = Self.spareDescriptor() }
    }

    private static func spareDescriptor() -> SharedDescriptor? {
        guard let null = try? Syscalls.open("/dev/null", flags: O_RDONLY) else { return nil }
        return SharedDescriptor(null)
    }

    /// Who connected, as the kernel noted it then: SO_PEERCRED and SO_PEERGROUPS of unix(7).
    static func peer(of raw: CInt) throws(Refusal) -> (Caller, Credentials) {
        guard let (caller, groups) = try? Syscalls.peer(of: raw) else {
            throw Refusal(.permissionDenied, "the peer is not known")
        }
        return (caller, Credentials(uid: caller.uid, gid: caller.gid, groups: groups))
    }

    /// Ends all connections. Whoever keeps his own thread waiting is not waited for.
    /// - Parameter waits: a moment for the others.
    func close(waits: Bool) {
        if let started = watch.withLock({ $0.take() }) { loop.stop(started, listener.raw) }
        let users = state.withLock { state in
            state.isClosed = true
            defer { state.users.removeAll() }
            return Array(state.users.values)
        }
        for user in users { end(user) }
        loop.shutDown(waits: false)
        try? Syscalls.unlink(path, at: Syscalls.currentDirectory)
        for _ in 0..<(waits ? 100 : 0) where living.load(ordering: .relaxed) > 0 {
            Syscalls.pause(microseconds: 2000)
        }
    }
}
