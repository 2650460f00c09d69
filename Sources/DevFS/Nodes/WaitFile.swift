import Synchronization
import SystemPackage

/// An open `signals/NAME/wait`: a position in the signal's events.
///
/// Lock order: the queue's, then the signal's.
final class WaitFile: OpenFile, SignalListener {
    private struct Position {
        /// The last event that was given.
        var last: UInt64
        /// What a short read has left of a line.
        var rest: ArraySlice<UInt8> = []
        var lost: UInt64 = 0
        /// Where the next server finds all that.
        var kept: KeptHandle?

        var progress: KeptHandle.Progress {
            .init(position: last, count: lost, rest: Array(rest))
        }
    }

    private let signal: Signal
    private let queue: ReadQueue<Position>

    /// - Throws: ENODEV where the signal is gone.
    init(_ signal: Signal) throws(Errno) {
        self.signal = signal
        // What the device has made but nobody has taken yet is not news to this reader.
        queue = ReadQueue(at: Position(last: try signal.summary().count))
        if signal.isRemoved { throw .noDevice }
    }

    // Seekable, although a position means nothing: head(1) seeks back by 0 bytes in every regular
    // file and calls a failure an error. A read gives one line, so bash has nothing to seek back.
    let waits = true

    /// The next bytes, from the rest of a line or the next event; nil where there is none, which the
    /// signal will tell who waits.
    private func next(
        _ position: inout Position, _ size: Int, waits: Bool
    ) throws(Errno) -> ArraySlice<UInt8>? {
        while position.rest.isEmpty {
            if let event = try signal.event(after: position.last) {
                position.last = event.number
                position.lost += event.skipped
                let line = "\(event.number) \(event.count) \(position.lost) \(event.time)\n"
                position.rest = Array(line.utf8)[...]
            } else if !waits || signal.tellOnce(self, after: position.last) {
                return nil
            }
        }
        let part = position.rest.prefix(size)
        position.rest = position.rest.dropFirst(size)
        position.kept?.set(
            position.progress, answering: Undertaking.current?.unique ?? 0, with: Array(part))
        return part
    }

    func keep(in handle: KeptHandle, isAdopted: Bool) {
        queue.change { position in
            if isAdopted {
                let before = handle.progress
                position.last = before.position
                position.lost = before.count
                position.rest = before.rest[...]
            } else {
                handle.set(position.progress, answering: 0, with: [])
            }
            position.kept = handle
        }
    }

    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    {
        try queue.read(parked, size: size, next)
    }

    func cancel(_ parked: any ParkedRead) -> Bool { queue.cancel(parked) }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        throw .badFileDescriptor
    }

    func poll(_ waiter: (any PollWaiter)?) -> PollEvents {
        queue.poll(waiter) { position in
            if !position.rest.isEmpty || signal.count > position.last { return .readable }
            if signal.isRemoved { return [.hangUp, .error] }
            if waiter != nil, !signal.tellOnce(self, after: position.last) {
                return signal.isRemoved ? [.hangUp, .error] : .readable
            }
            return []
        }
    }

    func happened(_ numbers: ClosedRange<UInt64>, at time: UInt64) { tellReaders() }
    func ended() { tellReaders() }

    private func tellReaders() {
        queue.serve(next)
        queue.wakePoller()
    }

    func close() {
        signal.remove(self)
        queue.end()
    }
}
