import Glibc
import SystemPackage

/// A device made of software: fills the periods of a stream with 32-bit little-endian counter
/// words at a set rate, so that streams can be tried without hardware. The engine's thread does it.
final class PatternGenerator: Sendable {
    /// `pwrite(2)` of whole words to a descriptor, at an offset: how many bytes.
    typealias Write = @Sendable (RawSpan, CInt, UInt64) throws(Errno) -> Int

    private let stream: Stream
    private let engine: PatternEngine

    /// - Parameter rate: words a second.
    /// - Throws: EINVAL where a period takes longer than a year; what a thread and a timer need.
    init(_ stream: Stream, rate: UInt64, by engine: PatternEngine) throws(Errno) {
        self.stream = stream
        self.engine = engine
        let words = stream.definition.period / 4
        guard let time = StreamRequest.time(of: words, at: rate) else { throw .invalidArgument }
        stream.setGenerator { [weak engine, id = stream.id] in engine?.wake(id) }
        do throws(Errno) {
            try engine.add(Progress(stream: stream, words: words, time: time))
        } catch {
            stream.setGenerator(nil)
            throw error
        }
    }

    /// Nothing is filled afterwards, but for what a write does that hangs.
    func stop() {
        stream.setGenerator(nil)
        engine.remove(stream.id)
    }
}

extension PatternGenerator {
    /// How far the generator of one stream is. Whose turn it is has it alone.
    struct Progress: Sendable {
        /// Words that are made and written at a time.
        static let slice = 16384
        /// Periods that are filled in one turn at the most.
        private static let periods = 64

        let stream: Stream
        /// Words of a period.
        let words: UInt64
        /// Nanoseconds that a period takes.
        let time: UInt64
        /// When the period is to be filled, CLOCK_MONOTONIC in ns.
        var due: UInt64 = 0
        /// The first word of the period.
        private var counter: UInt32
        /// Words of the period that are written.
        private var done: UInt64 = 0

        init(stream: Stream, words: UInt64, time: UInt64) {
            self.stream = stream
            counter = stream.counter
            self.words = words
            self.time = time
        }

        /// Fills what is due, one slice at the most, so that others have their turn.
        /// - Returns: false where the stream waits for room or for its start.
        mutating func fill(_ room: inout [UInt32], _ put: Write) -> Bool {
            var left = room.count
            for _ in 0..<Self.periods {
                guard let offset = stream.nextPeriod() else { return false }
                let count = Int(clamping: min(words - done, UInt64(left)))
                var word = counter &+ UInt32(truncatingIfNeeded: done)
                for index in 0..<count {
                    room[index] = word.littleEndian
                    word &+= 1
                }
                let bytes = unsafe room.span.bytes.extracting(first: 4 * count)
                let isWritten =
                    (try? put(bytes, stream.descriptor, offset + 4 * done)) == bytes.byteCount
                guard isWritten else {
                    // The buffer was cut from outside: its memory is gone, and so is the device.
                    done = 0
                    stream.stop()
                    return false
                }
                done += UInt64(count)
                left -= count
                if done == words { finishPeriod() }
                if left == 0 || due > Clock.monotonic { break }
            }
            return true
        }

        private mutating func finishPeriod() {
            done = 0
            // What is filled once the stream was stopped is filled again, so that no word is missing.
            let next = counter &+ UInt32(truncatingIfNeeded: words)
            guard stream.periodFilled(next: next) else { return }
            counter = next
            let now = Clock.monotonic
            if now > due + 1_000_000_000 { due = now }
            due += time
        }
    }
}
