import Synchronization
import SystemPackage

/// The open `streams/NAME/data`: the stream's one reader. The first read or poll starts the stream: what
/// opens everything, and reads nothing of a file of size 0, changes nothing. But the events since the
/// open are the stream's then: who opens it, starts his device and reads has all.
final class StreamFile: OpenFile {
    private let stream: Stream
    /// One copy at a time, so that bytes go out in order.
    private let queue = ReadQueue(at: ())
    private let wasAsked = Atomic(false)

    /// - Throws: EBUSY where the stream has a reader; ENODEV.
    init(_ stream: Stream) throws(Errno) {
        self.stream = stream
        try stream.attach { [weak self] in self?.tellReaders() }
    }

    // Not seekable: dd skip= must read and drop.
    let isSeekable = false
    let waits = true

    /// Nil where the read has to wait.
    private func next(
        _: inout Void, _ size: Int, waits: Bool
    ) throws(Errno) -> ArraySlice<UInt8>? {
        try stream.takeNext(size)
    }

    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    {
        // GNU grep -r reads once without waiting, and is no reader; who means it asks again.
        if parked == nil, stream.isQuiet, !wasAsked.exchange(true, ordering: .relaxed) {
            throw .resourceTemporarilyUnavailable
        }
        stream.asked()
        stream.begin()
        return try queue.read(parked, size: size, next)
    }

    func keep(in handle: KeptHandle, isAdopted: Bool) {
        stream.keep(in: handle, isAdopted: isAdopted)
    }

    func again(_ answer: [UInt8]) throws(Errno) -> ArraySlice<UInt8>? { try stream.again(answer) }

    /// Waits for a copy that is under way, so that its bytes go to the one who asked for them.
    func cancel(_ parked: any ParkedRead) -> Bool { queue.cancel(parked) }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        throw .badFileDescriptor
    }

    func poll(_ waiter: (any PollWaiter)?) -> PollEvents {
        stream.begin()
        return queue.poll(waiter) { _ in
            switch stream.next(1) {
            case .wait: []
            case .bytes: .readable
            case .end: [.readable, .hangUp]
            case .failed(.brokenPipe): [.readable, .error]
            case .failed: [.hangUp, .error]
            }
        }
    }

    private func tellReaders() {
        queue.serve(next)
        if stream.next(1) != .wait { queue.wakePoller() }
    }

    func close() {
        stream.detach()
        queue.end()
    }
}
