import Glibc
import SystemPackage

/// Moves bytes from one open file to another.
package struct CopyLoop {
    /// Why it ended.
    package enum End {
        /// The source ended, or the limit was reached.
        case complete
        case timedOut
        /// What `check` or `wait` threw.
        case interrupted(any Error)
        /// The source's `read`.
        case refused(Errno)
        /// The sink's `write`.
        case full(Errno)
    }

    /// Waited for where it is open without blocking.
    let source: FileDescriptor
    let sink: FileDescriptor
    /// Bytes that are moved at a time.
    let chunk: Int

    package init(source: FileDescriptor, sink: FileDescriptor, chunk: Int) {
        self.source = source
        self.sink = sink
        self.chunk = chunk
    }

    /// Copies until one of the ends; never throws, as the caller may have more to report.
    ///
    /// - Parameters:
    ///   - limit: bytes; not one more is read, as the next reader goes on from there.
    ///   - check: throws to end the loop; called before each read and after each EINTR.
    ///   - wait: waits until the source is readable, or for a while; false when the time is over.
    ///   - moved: told the bytes that were written so far.
    /// - Returns: bytes that were written to the sink, and why no more were.
    package func run(
        limit: UInt64?, check: () throws -> Void, wait: (FileDescriptor) throws -> Bool,
        moved: (UInt64) -> Void
    ) -> (bytes: UInt64, end: End) {
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: chunk, alignment: Int(getpagesize()))
        defer { unsafe memory.deallocate() }
        var done: UInt64 = 0
        do {
            while limit.map({ done < $0 }) ?? true {
                let wanted = limit.map { Int(min($0 - done, UInt64(chunk))) } ?? chunk
                let room = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[..<wanted])
                switch unsafe try read(into: room, check, wait) {
                case .count(0): return (done, .complete)
                case .count(let count):
                    let bytes = unsafe UnsafeRawBufferPointer(rebasing: memory[..<count])
                    if let errno = unsafe try write(bytes, check, done: &done) {
                        return (done, .full(errno))
                    }
                    moved(done)
                case .timedOut: return (done, .timedOut)
                case .refused(let errno): return (done, .refused(errno))
                }
            }
            return (done, .complete)
        } catch {
            return (done, .interrupted(error))
        }
    }

    /// The source is not at its end: takes a byte of it.
    ///
    /// - Throws: what `check` or `wait` throws; the errno of `read`.
    package func hasMore(
        check: () throws -> Void, wait: (FileDescriptor) throws -> Bool
    ) throws -> Bool {
        var byte: UInt8 = 0
        let step = try unsafe withUnsafeMutableBytes(of: &byte) {
            unsafe try read(into: $0, check, wait)
        }
        switch step {
        case .count(let count): return count == 1
        case .timedOut: return false
        case .refused(let errno): throw errno
        }
    }

    private enum Step {
        case count(Int)
        case timedOut
        case refused(Errno)
    }

    /// Bytes that were read, 0 at the end.
    private func read(
        into memory: UnsafeMutableRawBufferPointer, _ check: () throws -> Void,
        _ wait: (FileDescriptor) throws -> Bool
    ) throws -> Step {
        while true {
            try check()
            do throws(Errno) {
                return .count(unsafe try Calls.read(source.rawValue, into: memory))
            } catch .interrupted {
                continue
            } catch .resourceTemporarilyUnavailable {
                guard try wait(source) else { return .timedOut }
            } catch {
                return .refused(error)
            }
        }
    }

    /// Writes all of `bytes`; the errno where it could not.
    private func write(
        _ bytes: UnsafeRawBufferPointer, _ check: () throws -> Void, done: inout UInt64
    ) throws -> Errno? {
        var rest = unsafe bytes
        while unsafe !rest.isEmpty {
            do {
                let count = try unsafe sink.write(rest, retryOnInterrupt: false)
                done += UInt64(count)
                unsafe rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            } catch Errno.interrupted {
                try check()
            } catch let errno as Errno {
                return errno
            }
        }
        return nil
    }
}
