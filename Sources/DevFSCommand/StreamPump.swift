import Glibc
import SystemPackage

/// Moves bytes from a stream to a file or a pipe.
struct StreamPump {
    /// Why it ended.
    enum End {
        /// The stream ended, or the limit was reached.
        case complete
        case timedOut
        /// A signal, or the sink.
        case failed(Failure)
        /// The stream's `read`.
        case refused(Errno)
    }

    private static let chunk = 1 << 20

    /// Open without blocking.
    let data: FileDescriptor
    let sink: FileDescriptor
    let sinkName: String
    /// What is done, for messages.
    let what: String

    /// Copies until one of the ends; never throws, as the caller reports losses in any case.
    ///
    /// - Returns: bytes that were written to the sink, and why no more were.
    func copy(
        limit: UInt64?, deadline: Deadline, interrupts: borrowing Interrupts
    ) -> (bytes: UInt64, end: End) {
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.chunk, alignment: Int(getpagesize()))
        defer { unsafe memory.deallocate() }
        var progress = Progress()
        defer { progress.clear() }
        var done: UInt64 = 0
        do {
            while limit.map({ done < $0 }) ?? true {
                try interrupts.check(what)
                guard let wait = deadline.milliseconds(atMost: -1) else { return (done, .timedOut) }
                // Not a byte more than asked for is taken: the next reader goes on from there.
                let wanted = limit.map { Int(min($0 - done, UInt64(Self.chunk))) } ?? Self.chunk
                guard let count = try unsafe read(into: .init(rebasing: memory[..<wanted])) else {
                    _ = try interrupts.poll(data, POLLIN, timeout: wait)
                    continue
                }
                if count == 0 { break }
                try unsafe write(.init(rebasing: memory[..<count]), interrupts, done: &done)
                progress.show { "\(what): \(CopySource.describe(done, of: limit, $0))" }
            }
            return (done, .complete)
        } catch let failure as Failure {
            return (done, .failed(failure))
        } catch {
            return (done, .refused(error as? Errno ?? .ioError))
        }
    }

    /// Bytes read; nil if there is nothing to read yet.
    private func read(into memory: UnsafeMutableRawBufferPointer) throws -> Int? {
        do {
            return try unsafe data.read(into: memory, retryOnInterrupt: false)
        } catch Errno.resourceTemporarilyUnavailable, Errno.interrupted {
            return nil
        }
    }

    /// Writes all of `bytes`; Ctrl-C ends it even where the reader of a pipe has stopped reading.
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
                throw Failure("writing to \(sinkName)", errno)
            }
        }
    }
}
