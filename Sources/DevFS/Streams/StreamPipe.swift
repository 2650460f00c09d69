import Synchronization
import SystemPackage

/// A pipe into which a stream's data go: for who takes no file, or no regular one that can't seek.
///
/// All but `close` runs on the thread of the loop. What the pipe does not take stays in the ring, but
/// for one piece.
final class StreamPipe: Sendable {
    /// Bytes of the pipe, if they can be had, and of a piece.
    private static let (size, piece) = (256 << 10, 64 << 10)
    /// Pieces of a turn: the thread has other work, too.
    private static let turn = 16

    private let stream: Stream
    private let writer: PipeWriter
    private let loop: EventLoop
    /// What was taken out of the ring and not written yet.
    private let rest = Mutex<ArraySlice<UInt8>>([])
    private let watch = Mutex<EventLoop.Watch?>(nil)
    private let isDue = Atomic(false)
    private let isClosed = Atomic(false)
    /// Called once, when it has ended.
    private let ended: @Sendable (StreamPipe) -> Void

    /// The stream starts.
    /// - Returns: the end to read from, and what writes to the other one.
    /// - Throws: EBUSY where the stream has a reader; ENODEV; EMFILE.
    static func start(
        _ stream: Stream, on loop: EventLoop, ended: @escaping @Sendable (StreamPipe) -> Void
    ) throws(Errno) -> (reader: SharedDescriptor, pipe: StreamPipe) {
        let (reader, writer) = try PipeWriter.make(size: size)
        let pipe = StreamPipe(stream, writer, loop, ended)
        try stream.attach { [weak pipe] in pipe?.tell() }
        do throws(Errno) {
            let started = try loop.watch(writer.raw, writes: true) { [weak pipe] in pipe?.run() }
            pipe.watch.withLock { $0 = started }
        } catch {
            stream.detach()
            throw error
        }
        stream.begin()
        pipe.tell()
        return (reader, pipe)
    }

    private init(
        _ stream: Stream, _ writer: PipeWriter, _ loop: EventLoop,
        _ ended: @escaping @Sendable (StreamPipe) -> Void
    ) {
        self.stream = stream
        self.writer = writer
        self.loop = loop
        self.ended = ended
    }

    /// From any thread: there may be something to write.
    private func tell() {
        guard !isDue.exchange(true, ordering: .acquiringAndReleasing) else { return }
        loop.perform { [weak self] in
            self?.isDue.store(false, ordering: .releasing)
            self?.run()
        }
    }

    private func run() {
        guard !isClosed.load(ordering: .acquiring) else { return }
        // Where there is nothing to write, a reader who is gone is seen by this alone.
        guard writer.isRead else { return end() }
        do throws(Errno) {
            for _ in 0..<Self.turn {
                var piece = rest.withLock { $0 }
                if piece.isEmpty {
                    guard let fresh = try stream.takeNext(Self.piece) else { return }
                    piece = fresh
                }
                if piece.isEmpty { return end() }
                let count = try writer.write(piece)
                rest.withLock { $0 = piece.dropFirst(count) }
                // The loop tells when there is room.
                if count < piece.count { return }
            }
        } catch {
            return end()
        }
        tell()
    }

    private func end() {
        close()
        ended(self)
    }

    /// The reader finds the end once he has read what is in the pipe.
    func close() {
        guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        if let watch = watch.withLock({ $0.take() }) { loop.stop(watch, writer.raw) }
        stream.detach()
    }
}
