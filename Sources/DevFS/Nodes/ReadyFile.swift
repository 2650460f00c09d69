import Synchronization
import SystemPackage

/// The open `streams/NAME/ready`: the stream's one reader, who has the ring mapped. A read says where
/// bytes lie, a write gives them back.
///
/// Lock order: the queue's, then the stream's.
final class ReadyFile: OpenFile {
    private struct Position {
        /// The end of what was told.
        var told: UInt64 = 0
        /// What a short read has left of a line.
        var rest: ArraySlice<UInt8> = []
        /// Where the next server finds all that.
        var kept: KeptHandle?

        var progress: KeptHandle.Progress { .init(position: told, rest: Array(rest)) }
    }

    private let stream: Stream
    private let log: CommandLog
    /// Makes the reader's mapping show what the device has written.
    private let sync: @Sendable (Range<UInt64>) throws(Errno) -> Void
    private let opener: Opener
    private let queue = ReadQueue(at: Position())
    private let wasAsked = Atomic(false)

    /// - Throws: EBUSY where the stream has a reader; ENODEV.
    init(
        _ stream: Stream, by opener: Opener, log: CommandLog,
        sync: @escaping @Sendable (Range<UInt64>) throws(Errno) -> Void
    ) throws(Errno) {
        self.stream = stream
        self.log = log
        self.sync = sync
        self.opener = opener
        try stream.attach { [weak self] in self?.tellReaders() }
    }

    // Seekable, although a position means nothing: as with `wait`, a shell that reads a line has
    // nothing to seek back.
    let waits = true
    var commander: Opener? { opener }

    /// Nil where the read has to wait.
    private func next(
        _ position: inout Position, _ size: Int, waits: Bool
    ) throws(Errno) -> ArraySlice<UInt8>? {
        if position.rest.isEmpty {
            switch stream.catchUp().ready(after: position.told, holds: true) {
            case .wait: return nil
            case .end: return []
            case .failed(let error): throw error
            case .run(let run):
                try sync(run.offset..<run.offset + run.length)
                position.told = run.end
                let line = "\(run.position) \(run.offset) \(run.length) \(run.overruns)\n"
                position.rest = Array(line.utf8)[...]
            }
        }
        let part = position.rest.prefix(size)
        position.rest = position.rest.dropFirst(size)
        position.kept?.set(
            position.progress, answering: Undertaking.current?.unique ?? 0, with: Array(part))
        return part
    }

    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    {
        // As with `data`: one read that does not wait is no reader's.
        if parked == nil, stream.isQuiet, !wasAsked.exchange(true, ordering: .relaxed) {
            throw .resourceTemporarilyUnavailable
        }
        stream.begin()
        return try queue.read(parked, size: size, next)
    }

    func keep(in handle: KeptHandle, isAdopted: Bool) {
        queue.change { position in
            if isAdopted {
                let before = handle.progress
                position.told = before.position
                position.rest = before.rest[...]
            } else {
                handle.set(position.progress, answering: 0, with: [])
            }
            position.kept = handle
        }
    }

    func cancel(_ parked: any ParkedRead) -> Bool { queue.cancel(parked) }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        let text = unsafe CommandText(bytes, file: "streams/\(stream.name)/ready")
        return try text.carryOut(log, by: opener, atMost: 1, parse: Stream.Release.parse) {
            (release) throws(Refusal) in try stream.release(release)
        }.taken
    }

    func poll(_ waiter: (any PollWaiter)?) -> PollEvents {
        stream.begin()
        return queue.poll(waiter) { position in
            if !position.rest.isEmpty { return [.readable, .writable] }
            let events: PollEvents =
                switch stream.catchUp().ready(after: position.told, holds: false) {
                case .wait: []
                case .run: .readable
                case .end: [.readable, .hangUp]
                case .failed(.brokenPipe): [.readable, .error]
                case .failed: [.hangUp, .error]
                }
            return events.union(.writable)
        }
    }

    private func tellReaders() {
        queue.serve(next)
        queue.wakePoller()
    }

    func close() {
        stream.detach()
        queue.end()
    }
}
