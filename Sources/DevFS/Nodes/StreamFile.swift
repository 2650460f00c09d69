import Synchronization
import SystemPackage

/// The open `streams/NAME/data`: the stream's one reader. The first read or poll starts the stream: what
/// opens everything, and reads nothing of a file of size 0, changes nothing. But the events since the
/// open are the stream's then: who opens it, starts his device and reads has all.
final class StreamFile: OpenFile {
    private let stream: Stream
    private let queue = Mutex(ReadQueue())
    /// One copy at a time, so that bytes go out in order.
    private let turn = Mutex(())
    private let wasAsked = Atomic(false)

    /// - Throws: EBUSY where the stream has a reader; ENODEV.
    init(_ stream: Stream) throws(Errno) {
        self.stream = stream
        try stream.attach { [weak self] in self?.pump() }
    }

    // Not seekable: dd skip= must read and drop.
    let isSeekable = false
    let waits = true

    /// Nil where the read has to wait.
    private func next(_ size: Int) throws(Errno) -> ArraySlice<UInt8>? {
        while true {
            switch stream.next(size) {
            case .wait: return nil
            case .end: return []
            case .failed(let error): throw error
            case .bytes(let position, let offset, let count):
                if let bytes = try stream.take(position: position, offset: offset, count: count) {
                    return bytes
                }
            }
        }
    }

    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    {
        // GNU grep -r reads once without waiting, and is no reader; who means it asks again.
        if parked == nil, stream.isQuiet, !wasAsked.exchange(true, ordering: .relaxed) {
            throw .resourceTemporarilyUnavailable
        }
        stream.begin()
        let result: Result<ArraySlice<UInt8>?, Errno> = turn.withLock { _ in
            do throws(Errno) {
                // Those who wait already come first.
                if queue.withLock({ $0.first == nil }), let bytes = try next(size) {
                    return .success(bytes)
                }
                guard let parked else { throw .resourceTemporarilyUnavailable }
                queue.withLock { $0.park(parked) }
                return .success(nil)
            } catch {
                return .failure(error)
            }
        }
        guard let bytes = try result.get() else {
            // Something may have come between the look and the parking.
            pump()
            return nil
        }
        return .bytes(bytes)
    }

    /// Waits for a copy that is under way, so that its bytes go to the one who asked for them.
    func cancel(_ parked: any ParkedRead) -> Bool {
        turn.withLock { _ in queue.withLock { $0.cancel(parked) } }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        throw .badFileDescriptor
    }

    func poll(_ waiter: (any PollWaiter)?) -> PollEvents {
        stream.begin()
        queue.withLock { $0.add(waiter) }
        return switch stream.next(1) {
        case .wait: []
        case .bytes: .readable
        case .end: [.readable, .hangUp]
        case .failed(.brokenPipe): [.readable, .error]
        case .failed: [.hangUp, .error]
        }
    }

    /// Serves those who wait.
    private func pump() {
        while true {
            typealias Step = (any ParkedRead, Result<ArraySlice<UInt8>, Errno>)
            let step: Step? = turn.withLock { _ in
                guard let read = queue.withLock({ $0.first }) else { return nil }
                let result: Result<ArraySlice<UInt8>, Errno>
                do throws(Errno) {
                    guard let bytes = try next(read.size) else { return nil }
                    result = .success(bytes)
                } catch {
                    result = .failure(error)
                }
                queue.withLock { $0.removeFirst() }
                return (read, result)
            }
            guard let (read, result) = step else { break }
            read.finish(result)
        }
        if stream.next(1) != .wait {
            queue.withLock { $0.takePoller() }?.wake()
        }
    }

    func close() {
        stream.detach()
        for read in queue.withLock({ $0.takeAll() }) { read.finish(.failure(.noDevice)) }
    }
}
