import DevFSClient
import Glibc
import SystemPackage

/// The library's loop with what a command has around it: it shows how far it is, and Ctrl-C ends it,
/// even where the reader of a pipe has stopped reading.
struct Copying {
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

    private let loop: CopyLoop
    /// What is done, for messages.
    private let what: String
    /// What is tried when the sink fails.
    private let writing: String

    /// - Parameters:
    ///   - source: waited for where it is open without blocking.
    ///   - chunk: bytes that are moved at a time.
    init(
        source: FileDescriptor, sink: FileDescriptor, what: String, writing: String,
        chunk: Int = 1 << 20
    ) {
        loop = CopyLoop(source: source, sink: sink, chunk: chunk)
        self.what = what
        self.writing = writing
    }

    /// Copies until one of the ends; never throws, as the caller may have more to report.
    ///
    /// - Parameters:
    ///   - limit: bytes; not one more is read, as the next reader goes on from there.
    ///   - total: bytes that are shown as the whole.
    /// - Returns: bytes that were written to the sink, and why no more were.
    func run(
        limit: UInt64?, of total: UInt64?, deadline: Deadline, _ interrupts: borrowing Interrupts
    ) -> (bytes: UInt64, end: End) {
        var progress = Progress()
        defer { progress.clear() }
        var isOver = false
        let (bytes, end) = loop.run(
            limit: limit,
            check: {
                try interrupts.check(what)
                isOver = deadline.milliseconds(atMost: -1) == nil
                if isOver { throw Errno.timedOut }
            },
            wait: { source in
                guard let wait = deadline.milliseconds(atMost: -1) else { return false }
                _ = try interrupts.poll(source, POLLIN, timeout: wait)
                return true
            },
            moved: { done in
                progress.show { "\(what): \(Self.describe(done, of: total, $0))" }
            })
        switch end {
        case .complete: return (bytes, .complete)
        case .timedOut: return (bytes, .timedOut)
        case .refused(let errno): return (bytes, .refused(errno))
        case .full(let errno): return (bytes, .failed(Failure(writing, errno)))
        case .interrupted(let error):
            if isOver { return (bytes, .timedOut) }
            if let failure = error as? Failure { return (bytes, .failed(failure)) }
            return (bytes, .refused(error as? Errno ?? .ioError))
        }
    }

    /// The source is not at its end: takes a byte of it.
    func hasMore(_ interrupts: borrowing Interrupts) throws -> Bool {
        try loop.hasMore(
            check: { try interrupts.check(what) },
            wait: { source in
                _ = try interrupts.poll(source, POLLIN, timeout: -1)
                return true
            })
    }

    /// `12M of 4G, 1.2G/s`
    static func describe(_ done: UInt64, of total: UInt64?, _ time: Duration) -> String {
        let whole = total.map { " of \(Output.roughSize($0))" } ?? ""
        let speed = min(Double(done) / max(time.inSeconds, 1e-9), 1e18)
        let rate = UInt64(speed)  // fits: no more than 10^18, and never below 0
        return "\(Output.roughSize(done))\(whole), \(Output.roughSize(rate))/s"
    }
}
