import Glibc
import SystemPackage

/// Moves bytes from one open file to another, and shows how far it is. Ctrl-C ends it, even where
/// the reader of a pipe has stopped reading.
struct CopyLoop {
    /// Why it ended.
    enum End {
        /// The source ended, or the limit was reached.
        case complete
        case timedOut
        /// A signal, or the sink.
        case failed(Failure)
        /// The source's `read`.
        case refused(Errno)
    }

    /// Waited for where it is open without blocking.
    let source: FileDescriptor
    let sink: FileDescriptor
    /// What is done, for messages.
    let what: String
    /// What is tried when the sink fails.
    let writing: String
    /// Bytes that are moved at a time.
    var chunk = 1 << 20

    /// Copies until one of the ends; never throws, as the caller may have more to report.
    ///
    /// - Parameters:
    ///   - limit: bytes; not one more is read, as the next reader goes on from there.
    ///   - total: bytes that are shown as the whole.
    /// - Returns: bytes that were written to the sink, and why no more were.
    func run(
        limit: UInt64?, of total: UInt64?, deadline: Deadline, _ interrupts: borrowing Interrupts
    ) -> (bytes: UInt64, end: End) {
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: chunk, alignment: Int(getpagesize()))
        defer { unsafe memory.deallocate() }
        var progress = Progress()
        defer { progress.clear() }
        var done: UInt64 = 0
        do {
            while limit.map({ done < $0 }) ?? true {
                let wanted = limit.map { Int(min($0 - done, UInt64(chunk))) } ?? chunk
                let count = try unsafe read(
                    into: .init(rebasing: memory[..<wanted]), deadline, interrupts)
                guard let count else { return (done, .timedOut) }
                if count == 0 { break }
                try unsafe write(.init(rebasing: memory[..<count]), interrupts, done: &done)
                progress.show { "\(what): \(Self.describe(done, of: total, $0))" }
            }
            return (done, .complete)
        } catch let failure as Failure {
            return (done, .failed(failure))
        } catch {
            return (done, .refused(error as? Errno ?? .ioError))
        }
    }

    /// The source is not at its end: takes a byte of it.
    func hasMore(_ interrupts: borrowing Interrupts) throws -> Bool {
        var byte: UInt8 = 0
        let count = try unsafe withUnsafeMutableBytes(of: &byte) {
            try unsafe read(into: $0, Deadline(after: nil), interrupts)
        }
        return count == 1
    }

    /// Bytes that were read, 0 at the end; nil when the time is over.
    private func read(
        into memory: UnsafeMutableRawBufferPointer, _ deadline: Deadline,
        _ interrupts: borrowing Interrupts
    ) throws -> Int? {
        while true {
            try interrupts.check(what)
            guard let wait = deadline.milliseconds(atMost: -1) else { return nil }
            do {
                return try unsafe source.read(into: memory, retryOnInterrupt: false)
            } catch Errno.interrupted {
                continue
            } catch Errno.resourceTemporarilyUnavailable {
                _ = try interrupts.poll(source, POLLIN, timeout: wait)
            }
        }
    }

    /// Writes all of `bytes`.
    private func write(
        _ bytes: UnsafeRawBufferPointer, _ interrupts: borrowing Interrupts, done: inout UInt64
    ) throws {
        var rest = unsafe bytes
        while unsafe !rest.isEmpty {
            do {
                let count = try unsafe sink.write(rest, retryOnInterrupt: false)
                done += UInt64(count)
                unsafe rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            } catch Errno.interrupted {
                try interrupts.check(what)
            } catch let errno as Errno {
                throw Failure(writing, errno)
            }
        }
    }

    /// `12M of 4G, 1.2G/s`
    private static func describe(_ done: UInt64, of total: UInt64?, _ time: Duration) -> String {
        let whole = total.map { " of \(Output.roughSize($0))" } ?? ""
        let speed = min(Double(done) / max(time.inSeconds, 1e-9), 1e18)
        let rate = UInt64(speed)  // fits: no more than 10^18, and never below 0
        return "\(Output.roughSize(done))\(whole), \(Output.roughSize(rate))/s"
    }
}
