import CFuse
import Glibc
import Synchronization
import SystemPackage

/// All connections of one user, and of his subordinate uids, to the socket, with a thread of their
/// own.
///
/// A peer can make the receiving of what he sent, the closing of it and the opening of his buffers
/// wait (SO_LINGER, his own file system, a lease): it is his own requests that wait then. Everything
/// here runs on that thread but what says otherwise.
final class SocketUser: Sendable {
    /// Bytes of a request.
    private static let limit = 256

    private struct Connection {
        var watch: EventLoop.Watch?
        var charge: Quotas.Charge
        var pending: [UInt8] = []
        /// What came with the requests that are being carried out.
        var given: GivenDescriptor?
        /// Signals that count for this peer, until it closes the connection.
        var counters: [(Signal, EventCounterListener, Quotas.Charge)] = []
    }

    let uid: UInt32
    let tree: FileSystem
    /// Accepted and not closed yet, those that were refused included. From any thread.
    private let open = Atomic(0)
    private let loop: EventLoop
    private let connections = Mutex<[CInt: Connection]>([:])
    /// Which outlive the connection that asked for them.
    private let pipes = Mutex<[ObjectIdentifier: (StreamPipe, Quotas.Charge)]>([:])
    /// Called when a connection was closed, with how many are left.
    private let closed: @Sendable (SocketUser, Int) -> Void

    init(
        _ uid: UInt32, _ tree: FileSystem,
        closed: @escaping @Sendable (SocketUser, Int) -> Void
    ) throws(Errno) {
        self.uid = uid
        self.tree = tree
        self.closed = closed
        loop = try EventLoop("devfs-peer")
    }

    /// Takes a connection; how many it has now. From any thread.
    func take(_ connection: consuming Descriptor) -> Int {
        let count = open.add(1, ordering: .relaxed).newValue
        let raw = connection.take()
        loop.perform { [weak self] in
            if let self { admit(raw) } else { _ = Descriptor(owning: raw) }
        }
        return count
    }

    private func admit(_ raw: CInt) {
        guard let charge = tree.quotas.tryCharge(.connections, to: uid) else {
            answer(raw, "error EUSERS too many connections")
            return finish(raw)
        }
        connections.withLock { $0[raw] = Connection(charge: charge) }
        guard let watch = try? loop.watch(raw, { [weak self] in self?.receive(raw) }) else {
            return drop(raw)
        }
        connections.withLock { $0[raw]?.watch = watch }
    }

    private func drop(_ raw: CInt) {
        guard let connection = connections.withLock({ $0.removeValue(forKey: raw) }) else { return }
        if let watch = connection.watch { loop.stop(watch, raw) }
        for (signal, counter, _) in connection.counters { signal.remove(counter) }
        finish(raw)
    }

    /// Closes it, with whatever of its peer's is still in it.
    private func finish(_ raw: CInt) {
        _ = Descriptor(owning: raw)
        closed(self, open.subtract(1, ordering: .relaxed).newValue)
    }

    /// Nobody is connected, or reads from a pipe. From any thread.
    var isIdle: Bool {
        open.load(ordering: .relaxed) == 0 && pipes.withLock { $0.isEmpty }
    }

    /// Ends all connections, and the thread, which does `ended` last. From any thread.
    func end(_ ended: @escaping @Sendable () -> Void) {
        loop.perform { [self] in
            for raw in connections.withLock({ Array($0.keys) }) { drop(raw) }
            let left = pipes.withLock { pipes in
                defer { pipes.removeAll() }
                return Array(pipes.values)
            }
            for (pipe, _) in left { pipe.close() }
            ended()
        }
        loop.shutDown(waits: false)
    }

    private func receive(_ raw: CInt) {
        var room = [UInt8](repeating: 0, count: Self.limit)
        let (count, given): (Int, CInt)
        do throws(Errno) {
            (count, given) = try Syscalls.receive(
                raw, into: &room, wantsDescriptor: tree.closings.welcomes(uid))
        } catch {
            if error != .wouldBlock && error != .interrupted { drop(raw) }
            return
        }
        let descriptor =
            given >= 0 ? GivenDescriptor(owning: given, of: uid, tree.closings) : nil
        guard count > 0 else { return drop(raw) }
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
            // It could be the peer's end of this very connection, which would then never close.
            let isHalf = descriptor != nil && !connection.pending.isEmpty
            return isHalf || connection.pending.count > Self.limit ? nil : lines
        }
        guard let lines else {
            answer(
                raw,
                descriptor == nil
                    ? "error EINVAL a request has at most \(Self.limit) bytes"
                    : "error EINVAL a descriptor comes with a whole request, in one message")
            return drop(raw)
        }
        for line in lines {
            // An answer that the peer did not take has closed it: the number may be that of another
            // user's connection by now.
            guard connections.withLock({ $0[raw] != nil }) else { return }
            do throws(Refusal) {
                try carryOut(String(decoding: line, as: UTF8.self)[...], for: raw)
            } catch {
                reply(raw, "error \(ErrnoName.of(error.errno)) \(error.why)")
            }
        }
        // It goes with the requests that it came with, whether or not one of them took it.
        connections.withLock { $0[raw]?.given = nil }
    }

    func takeGiven(_ raw: CInt) -> GivenDescriptor? {
        connections.withLock { connections in
            defer { connections[raw]?.given = nil }
            return connections[raw]?.given
        }
    }

    /// False where the peer did not take it: one that does not read its answers is not waited for.
    @discardableResult
    private func answer(_ raw: CInt, _ text: String, descriptor: CInt = -1) -> Bool {
        Syscalls.send(Array((text + "\n").utf8), descriptor: descriptor, to: raw)
    }

    private func reply(_ raw: CInt, _ text: String, descriptor: CInt = -1) {
        if !answer(raw, text, descriptor: descriptor) { drop(raw) }
    }

    private func carryOut(_ line: Substring, for raw: CInt) throws(Refusal) {
        guard line.utf8.count <= Self.limit else {
            throw .invalid("a request has at most \(Self.limit) bytes")
        }
        var words = try Words(line)
        let what = try words.next("buffer, region, signal, stream, ring, import or pin")
        let name = try words.name()
        let (caller, peer) = try DescriptorSocket.peer(of: raw)
        guard tree.options.allowsOthers || peer.uid == geteuid() else {
            throw Refusal(.permissionDenied, "the mount is its user's alone: -o allow_other")
        }
        switch what {
        case "buffer":
            let given = try tree.descriptor(
                ofBuffer: name, writes: wantsToWrite(words), for: peer)
            reply(raw, "ok", descriptor: given.raw)
        case "region":
            let given = try tree.descriptor(
                ofRegion: name, writes: wantsToWrite(words), for: peer)
            reply(raw, "ok", descriptor: given.raw)
        case "signal":
            try words.end()
            let counter = try counter(of: name, for: raw, peer)
            reply(raw, "ok", descriptor: counter.raw)
        case "stream":
            try words.end()
            let reader = try pipe(of: name, peer)
            reply(raw, "ok", descriptor: reader.raw)
        case "ring":
            try words.end()
            let given = try tree.descriptor(ofRing: name, for: peer)
            reply(raw, "ok", descriptor: given.raw)
        case "import", "pin":
            let (memory, direction) = try Self.foreignMemory(what, words)
            try take(
                memory, takeGiven(raw), as: name, direction: direction, by: caller, peer)
            reply(raw, "ok")
        default:
            throw .invalid(
                "neither buffer, region, signal, stream, ring, import nor pin: \(what)")
        }
    }

    /// An eventfd that counts a signal's events from here on.
    private func counter(
        of name: Name, for raw: CInt, _ peer: Credentials
    ) throws(Refusal) -> EventCounter {
        guard let signal = tree.signals.find(name) else {
            throw Refusal(.noSuchFileOrDirectory, "no signal \(name)")
        }
        let charge = try tree.quotas.charge(.counters, to: uid)
        // What was before is not counted.
        tree.signals.catchUp()
        do throws(Errno) {
            let status = FileStatus(
                inode: 0, mode: 0o444 & ~tree.options.umask, uid: tree.options.uid,
                gid: tree.options.gid, at: tree.started)
            guard peer.may(writes: false, status) else { throw Errno.permissionDenied }
            let counter = try EventCounter()
            let listener = EventCounterListener(counter) { [loop] in loop.perform($0) }
            connections.withLock { $0[raw]?.counters.append((signal, listener, charge)) }
            guard signal.add(listener) else { throw Errno.noDevice }
            return counter
        } catch {
            throw Refusal(error, "the signal can't be given to uid \(peer.uid)")
        }
    }

    /// A pipe of a stream's data from here on.
    private func pipe(
        of name: Name, _ peer: Credentials
    ) throws(Refusal) -> SharedDescriptor {
        let stream = try tree.stream(name, for: peer)
        let charge = try tree.quotas.charge(.counters, to: uid)
        do throws(Errno) {
            let (reader, pipe) = try StreamPipe.start(stream, on: loop) { [weak self] in
                self?.forget($0)
            }
            // Nothing of it has run yet: that is this thread's.
            pipes.withLock { $0[ObjectIdentifier(pipe)] = (pipe, charge) }
            return reader
        } catch .resourceBusy {
            throw Refusal(.resourceBusy, "the stream has a reader already")
        } catch {
            throw Refusal(error, "the stream can't be given to uid \(peer.uid)")
        }
    }

    private func forget(_ pipe: StreamPipe) {
        _ = pipes.withLock { $0.removeValue(forKey: ObjectIdentifier(pipe)) }
        closed(self, open.load(ordering: .relaxed))
    }

    /// The words after the name of a file: `rw`, which is the default, or `ro`.
    private func wantsToWrite(_ rest: Words) throws(Refusal) -> Bool {
        var words = rest
        let access = words.isEmpty ? "rw" : try words.next("rw or ro")
        guard access == "rw" || access == "ro" else { throw .invalid("neither rw nor ro") }
        try words.end()
        if access == "rw" && tree.isReadOnly {
            throw Refusal(.readOnlyFileSystem, "the mount is read-only")
        }
        return access == "rw"
    }
}
