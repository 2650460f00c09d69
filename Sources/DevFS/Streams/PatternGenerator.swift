import Glibc
import Synchronization
import SystemPackage

/// A device made of software: fills the periods of a stream with 32-bit little-endian counter
/// words at a set rate, so that streams can be tried without hardware.
final class PatternGenerator: Sendable {
    private let stream: Stream
    /// Words a second.
    private let rate: UInt64
    private let bell: EventCounter
    private let isStopping = Atomic(false)
    private let worker = Mutex<Worker?>(nil)

    init(_ stream: Stream, rate: UInt64) throws(Errno) {
        self.stream = stream
        self.rate = rate
        bell = try EventCounter()
        stream.setGenerator { [bell] in bell.add(1) }
        let started = try Worker("devfs-pattern") { [self] in run() }
        worker.withLock { $0 = started }
    }

    /// Words that are made and written at a time.
    private static let chunk = 16384

    private func run() {
        let words = Int(stream.definition.period) / 4
        var room = [UInt32](repeating: 0, count: min(words, Self.chunk))
        var counter: UInt32 = 0
        let nanoseconds = UInt64(
            (Double(words) / Double(rate) * 1_000_000_000).rounded(.up))
        var due = Clock.monotonic
        while !isStopping.load(ordering: .acquiring) {
            guard let offset = stream.nextPeriod() else {
                bell.wait(until: nil)
                _ = bell.take()
                // The time that it stood still is not made up for.
                due = Clock.monotonic
                continue
            }
            due += nanoseconds
            while Clock.monotonic < due, !isStopping.load(ordering: .acquiring) {
                bell.wait(until: due)
                _ = bell.take()
            }
            guard fill(&room, at: offset, words: words, &counter) else {
                // The buffer was cut from outside: its memory is gone, and so is the device.
                stream.stop()
                continue
            }
            stream.periodFilled()
            let now = Clock.monotonic
            if now > due + 1_000_000_000 { due = now }
        }
    }

    /// Writes one period of counter words; false where the buffer does not take it.
    private func fill(
        _ room: inout [UInt32], at offset: UInt64, words: Int, _ counter: inout UInt32
    ) -> Bool {
        var done = 0
        while done < words {
            let count = min(room.count, words - done)
            for index in 0..<count {
                room[index] = counter.littleEndian
                counter &+= 1
            }
            let isWritten = unsafe room.withUnsafeBytes { bytes in
                let part = unsafe UnsafeRawBufferPointer(rebasing: bytes.prefix(4 * count))
                let place = offset + UInt64(4 * done)
                return unsafe (try? Syscalls.write(part, to: stream.descriptor, at: place))
                    == part.count
            }
            guard isWritten else { return false }
            done += count
        }
        return true
    }

    /// Ends the thread and waits for it.
    func stop() {
        stream.setGenerator(nil)
        isStopping.store(true, ordering: .releasing)
        bell.add(1)
        worker.withLock { $0.take() }?.join()
    }
}
