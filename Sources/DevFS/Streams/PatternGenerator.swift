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

    private func run() {
        let words = Int(stream.definition.period) / 4
        var period = [UInt32](repeating: 0, count: words)
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
            for index in 0..<words {
                period[index] = counter.littleEndian
                counter &+= 1
            }
            due += nanoseconds
            while Clock.monotonic < due, !isStopping.load(ordering: .acquiring) {
                bell.wait(until: due)
                _ = bell.take()
            }
            let isWritten = unsafe period.withUnsafeBytes { bytes in
                unsafe (try? Syscalls.write(bytes, to: stream.descriptor, at: offset))
                    == bytes.count
            }
            guard isWritten else {
                // The buffer was cut from outside: its memory is gone, and so is the device.
                stream.stop()
                continue
            }
            stream.periodFilled()
            let now = Clock.monotonic
            if now > due + 1_000_000_000 { due = now }
        }
    }

    /// Ends the thread and waits for it.
    func stop() {
        stream.setGenerator(nil)
        isStopping.store(true, ordering: .releasing)
        bell.add(1)
        worker.withLock { $0.take() }?.join()
    }
}
