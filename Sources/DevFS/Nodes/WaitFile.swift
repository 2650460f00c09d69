import Synchronization
import SystemPackage

/// An open `signals/NAME/wait`: a position in the signal's events.
///
/// Lock order: this file's lock, then the signal's.
final class WaitFile: OpenFile, SignalListener {
    private struct State {
        /// The last event that was given.
        var position: UInt64
        /// What a short read has left of a line.
        var rest: ArraySlice<UInt8> = []
        var lost: UInt64 = 0
        var queue = ReadQueue()
    }

    private let signal: Signal
    private let state: Mutex<State>

    /// - Throws: ENODEV where the signal is gone.
    init(_ signal: Signal) throws(Errno) {
        self.signal = signal
        // What the device has made but nobody has taken yet is not news to this reader.
        state = Mutex(State(position: try signal.summary().count))
        if signal.isRemoved { throw .noDevice }
    }

    // Seekable, although a position means nothing: head(1) seeks back by 0 bytes in every regular
    // file and calls a failure an error. A read gives one line, so bash has nothing to seek back.
    let waits = true

    /// The next bytes, from the rest of a line or the next event.
    private static func next(
        _ state: inout State, _ signal: Signal, _ size: Int
    ) throws(Errno) -> ArraySlice<UInt8>? {
        if state.rest.isEmpty {
            guard let event = try signal.event(after: state.position) else { return nil }
            state.position = event.number
            state.lost += event.skipped
            let line = "\(event.number) \(event.count) \(state.lost) \(event.time)\n"
            state.rest = Array(line.utf8)[...]
        }
        let part = state.rest.prefix(size)
        state.rest = state.rest.dropFirst(size)
        return part
    }

    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    {
        let result: Result<ArraySlice<UInt8>?, Errno> = state.withLock { state in
            do throws(Errno) {
                // Those who wait already come first.
                while state.queue.first == nil {
                    if let bytes = try Self.next(&state, signal, size) { return .success(bytes) }
                    guard parked != nil else { throw .resourceTemporarilyUnavailable }
                    if signal.tellOnce(self, after: state.position) { break }
                }
            } catch {
                return .failure(error)
            }
            guard let parked else { return .failure(.resourceTemporarilyUnavailable) }
            state.queue.park(parked)
            return .success(nil)
        }
        return try result.get().map { .bytes($0) }
    }

    func cancel(_ parked: any ParkedRead) -> Bool {
        state.withLock { $0.queue.cancel(parked) }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        throw .badFileDescriptor
    }

    func poll(_ waiter: (any PollWaiter)?) -> PollEvents {
        state.withLock { state in
            state.queue.add(waiter)
            if !state.rest.isEmpty || signal.count > state.position { return .readable }
            if signal.isRemoved { return [.hangUp, .error] }
            if waiter != nil, !signal.tellOnce(self, after: state.position) {
                return signal.isRemoved ? [.hangUp, .error] : .readable
            }
            return []
        }
    }

    func happened(_ numbers: ClosedRange<UInt64>, at time: UInt64) { pump() }
    func ended() { pump() }

    /// Serves those who wait.
    private func pump() {
        while true {
            typealias Step = (any ParkedRead, Result<ArraySlice<UInt8>, Errno>)
            let step: Step? = state.withLock { state in
                guard let read = state.queue.first else { return nil }
                do throws(Errno) {
                    repeat {
                        guard let bytes = try Self.next(&state, signal, read.size) else { continue }
                        state.queue.removeFirst()
                        return (read, .success(bytes))
                    } while !signal.tellOnce(self, after: state.position)
                    return nil
                } catch {
                    state.queue.removeFirst()
                    return (read, .failure(error))
                }
            }
            guard let (read, result) = step else { break }
            read.finish(result)
        }
        state.withLock { $0.queue.takePoller() }?.wake()
    }

    func close() {
        signal.remove(self)
        for read in state.withLock({ $0.queue.takeAll() }) { read.finish(.failure(.noDevice)) }
    }
}
