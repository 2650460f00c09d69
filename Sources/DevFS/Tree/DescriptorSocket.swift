import CFuse
import Glibc
import Synchronization
import SystemPackage

/// The UNIX socket that hands out descriptors, which can't cross FUSE: a buffer's file, a region's, a
/// signal's eventfd. It takes them, too: memory that is to be a buffer. Runs on the event loop's
/// thread; nothing it does waits.
final class DescriptorSocket: Sendable {
    /// Bytes of a request.
    private static let limit = 256
    /// Connections, of one user and in all, and signals of one connection.
    private static let connectionsOfUser = 32
    private static let connectionsInAll = 128
    private static let countersOfConnection = 64

    private struct Connection {
        var uid: UInt32
        var watch: EventLoop.Watch?
        var pending: [UInt8] = []
        /// What came with the request that is being received.
        var given: GivenDescriptor?
        /// Signals that count for this peer, until it closes the connection.
        var counters: [(Signal, EventCounterListener)] = []
    }

    let tree: FileSystem
    private let loop: EventLoop
    private let path: String
    private let listener: SharedDescriptor
    private let watch = Mutex<EventLoop.Watch?>(nil)
    private let spare = Mutex<SharedDescriptor?>(nil)
    private let connections = Mutex<[CInt: Connection]>([:])

    init(_ tree: FileSystem, _ loop: EventLoop, path: String) throws(Errno) {
        self.tree = tree
        self.loop = loop
        self.path = path
        // What a server that died left there.
        try? Syscalls.unlink(path, at: Syscalls.currentDirectory)
        let descriptor = Descriptor(
            owning: try check {
                cfuse_unix_socket()
            })
        try check { unsafe cfuse_bind(descriptor.raw, path) }
        try check {
            unsafe chown(path, tree.options.uid, tree.options.gid)
        }
        // Who asks is checked by his credentials.
        try check { unsafe chmod(path, tree.options.allowsOthers ? 0o666 : 0o600) }
        try check { listen(descriptor.raw, 16) }
        listener = SharedDescriptor(descriptor)
        spare.withLock { $0 = Self.spareDescriptor() }
        let started = try loop.watch(listener.raw) { [weak self] in self?.accept() }
        watch.withLock { $0 = started }
    }

    private func accept() {
        let raw = cfuse_accept(listener.raw)
        guard raw >= 0 else {
            if lastError == .tooManyOpenFiles || lastError == .tooManyOpenFilesInSystem {
                refuseOne()
            }
            return
        }
        let uid = (try? peer(of: raw))?.1.uid ?? UInt32.max
        let isAdmitted = connections.withLock { connections in
            let own = connections.values.count { $0.uid == uid }
            guard own < Self.connectionsOfUser, connections.count < Self.connectionsInAll else {
                return false
            }
            connections[raw] = Connection(uid: uid)
            return true
        }
        guard isAdmitted else {
            answer(raw, "error EUSERS too many connections")
            Glibc.close(raw)
            return
        }
        guard let watch = try? loop.watch(raw, { [weak self] in self?.receive(raw) }) else {
            drop(raw)
            return
        }
        connections.withLock { $0[raw]?.watch = watch }
    }

    /// Without a free descriptor the caller would be announced for ever: the spare one is used to
    /// take him off the queue.
    private func refuseOne() {
        spare.withLock { $0 = nil }
        let raw = cfuse_accept(listener.raw)
        if raw >= 0 { Glibc.close(raw) }
        spare.withLock { $0 = Self.spareDescriptor() }
    }

    private static func spareDescriptor() -> SharedDescriptor? {
        guard let null = try? Syscalls.open("/dev/null", flags: O_RDONLY) else { return nil }
        return SharedDescriptor(null)
    }

    private func drop(_ raw: CInt) {
        guard let connection = connections.withLock({ $0.removeValue(forKey: raw) }) else { return }
        if let watch = connection.watch { loop.stop(watch, raw) }
        for (signal, counter) in connection.counters { signal.remove(counter) }
        Glibc.close(raw)
    }

    private func receive(_ raw: CInt) {
        var room = [UInt8](repeating: 0, count: Self.limit)
        var given: CInt = -1
        let count = unsafe cfuse_receive_fd(
            raw, &room, room.count, &given, GivenDescriptor.isWelcome)
        let descriptor = given >= 0 ? GivenDescriptor(owning: given) : nil
        guard count > 0 else {
            if count == 0 || (lastError != .wouldBlock && lastError != .interrupted) { drop(raw) }
            return
        }
        let lines: [ArraySlice<UInt8>]? = connections.withLock { connections in
            guard var connection = connections[raw] else { return nil }
            connection.pending += room[..<count]
            if let descriptor { connection.given = descriptor }
            var lines: [ArraySlice<UInt8>] = []
            while let end = connection.pending.firstIndex(of: UInt8(ascii: "\n")) {
                lines.append(connection.pending[..<end])
                connection.pending.removeFirst(end + 1)
            }
            connections[raw] = connection
            return connection.pending.count > Self.limit ? nil : lines
        }
        guard let lines else {
            answer(raw, "error EINVAL a request has at most \(Self.limit) bytes")
            drop(raw)
            return
        }
        for line in lines {
            do throws(Refusal) {
                try carryOut(String(decoding: line, as: UTF8.self)[...], for: raw)
            } catch {
                answer(raw, "error \(ErrnoName.of(error.errno)) \(error.why)")
            }
        }
        // It goes with the requests that it came with, whether or not one of them took it.
        connections.withLock { connections in
            if connections[raw]?.pending.isEmpty == true { connections[raw]?.given = nil }
        }
    }

    private func takeGiven(_ raw: CInt) -> GivenDescriptor? {
        connections.withLock { connections in
            defer { connections[raw]?.given = nil }
            return connections[raw]?.given
        }
    }

    private func answer(_ raw: CInt, _ text: String, descriptor: CInt = -1) {
        let bytes = Array((text + "\n").utf8)
        // A peer that does not read its answers is not waited for.
        let sent = unsafe cfuse_send_fd(raw, bytes, bytes.count, descriptor)
        if sent != bytes.count { drop(raw) }
    }

    private func carryOut(_ line: Substring, for raw: CInt) throws(Refusal) {
        guard line.utf8.count <= Self.limit else {
            throw .invalid("a request has at most \(Self.limit) bytes")
        }
        var words = try Words(line)
        let what = try words.next("buffer, region, signal, import or pin")
        let name = try words.name()
        let (caller, peer) = try peer(of: raw)
        guard tree.options.allowsOthers || peer.uid == geteuid() else {
            throw Refusal(.permissionDenied, "the mount is its user's alone: -o allow_other")
        }
        switch what {
        case "buffer":
            let given = try tree.descriptor(
                ofBuffer: name, writes: wantsToWrite(words), for: peer)
            answer(raw, "ok", descriptor: given.raw)
        case "region":
            let given = try tree.descriptor(
                ofRegion: name, writes: wantsToWrite(words), for: peer)
            answer(raw, "ok", descriptor: given.raw)
        case "signal":
            try words.end()
            guard let signal = tree.signals.find(name) else {
                throw Refusal(.noSuchFileOrDirectory, "no signal \(name)")
            }
            // What was before is not counted.
            tree.signals.catchUp()
            do throws(Errno) {
                let status = FileStatus(
                    inode: 0, mode: 0o444 & ~tree.options.umask, uid: tree.options.uid,
                    gid: tree.options.gid, at: tree.started)
                guard peer.may(writes: false, status) else { throw Errno.permissionDenied }
                let held = connections.withLock { $0[raw]?.counters.count ?? 0 }
                guard held < Self.countersOfConnection else { throw Errno.tooManyUsers }
                let counter = try EventCounter()
                let listener = EventCounterListener(counter)
                connections.withLock { $0[raw]?.counters.append((signal, listener)) }
                guard signal.add(listener) else { throw Errno.noDevice }
                answer(raw, "ok", descriptor: counter.raw)
            } catch {
                throw Refusal(error, "the signal can't be given to uid \(peer.uid)")
            }
        case "import", "pin":
            let (memory, direction) = try Self.foreignMemory(what, words)
            try take(
                memory, takeGiven(raw), as: name, direction: direction, by: caller, peer)
            answer(raw, "ok")
        default: throw .invalid("neither buffer, region, signal, import nor pin: \(what)")
        }
    }

    /// The words after the name of a file: `rw`, which is the default, or `ro`.
    private func wantsToWrite(_ rest: Words) throws(Refusal) -> Bool {
        var words = rest
        let access = words.isEmpty ? "rw" : try words.next("rw or ro")
        guard access == "rw" || access == "ro" else { throw .invalid("neither rw nor ro") }
        try words.end()
        if access == "rw" && tree.options.isReadOnly {
            throw Refusal(.readOnlyFileSystem, "the mount is read-only")
        }
        return access == "rw"
    }

    private func peer(of raw: CInt) throws(Refusal) -> (Caller, Credentials) {
        var pid: pid_t = 0
        var uid: uid_t = 0
        var gid: gid_t = 0
        guard unsafe cfuse_peer(raw, &pid, &uid, &gid) == 0 else {
            throw Refusal(.permissionDenied, "the peer is not known")
        }
        var groups = [gid_t](repeating: 0, count: 1024)
        let count = unsafe cfuse_peer_groups(raw, &groups, CInt(groups.count))
        return (
            Caller(pid: ProcessID(pid), uid: uid, gid: gid),
            Credentials(
                uid: uid, gid: gid, groups: Array(groups.prefix(Int(max(count, 0)))))
        )
    }

    func close() {
        if let started = watch.withLock({ $0.take() }) { loop.stop(started, listener.raw) }
        for raw in connections.withLock({ Array($0.keys) }) { drop(raw) }
        try? Syscalls.unlink(path, at: Syscalls.currentDirectory)
    }
}
