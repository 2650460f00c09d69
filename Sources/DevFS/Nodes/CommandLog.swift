import Glibc
import Synchronization
import SystemPackage

/// The last 256 refused commands, for `control/log`. When it is full, the user who has most of them
/// loses his oldest: nobody's evidence goes by the noise of another.
final class CommandLog: Sendable {
    private static let depth = 256
    /// Bytes of a command that are kept.
    private static let width = 200

    private struct Entry {
        /// From 1.
        var number: UInt64
        /// Whose share of the log it takes.
        var payer: UInt32
        /// With its newline.
        var line: [UInt8]
    }

    private struct State {
        /// Oldest first.
        var entries: [Entry] = []
        var counts: [UInt32: Int] = [:]
        var total: UInt64 = 0
        var budget = Budget()
        /// The newest line's.
        var changed: Timestamp?

        /// Takes away the oldest of the user who has most; of equals the oldest.
        mutating func makeRoom() {
            let most = counts.values.max() ?? 0
            guard let index = entries.firstIndex(where: { counts[$0.payer] == most }) else {
                return
            }
            let payer = entries.remove(at: index).payer
            counts[payer] = most > 1 ? most - 1 : nil
        }
    }

    /// How much is told beyond this log: a user must not fill the machine's.
    private struct Budget {
        private static let seconds = 60
        private static let (each, all) = (10, 100)

        private var start = 0
        private var told: [UInt32: Int] = [:]
        private var total = 0

        /// Nil where no more is told of a user for now; else whether this is the last.
        mutating func take(_ payer: UInt32) -> Bool? {
            let now = Clock.read(CLOCK_MONOTONIC).tv_sec
            if now - start >= Self.seconds { (start, told, total) = (now, [:], 0) }
            let count = told[payer, default: 0] + 1
            guard count <= Self.each, total < Self.all else { return nil }
            told[payer] = count
            total += 1
            return count == Self.each || total == Self.all
        }
    }

    /// A refusal as others are told of it.
    struct Told: Sendable {
        /// Without its end.
        var line: String
        var pid: pid_t
        var uid: UInt32
        var file: String
        var command: String
        var errno: String
    }

    private let state = Mutex(State())
    /// Called with refusals, as far as the budget goes.
    let told = Callback<Told>()
    /// Who pays for a user.
    private let payer: @Sendable (UInt32) -> UInt32

    init(payer: @escaping @Sendable (UInt32) -> UInt32 = { $0 }) { self.payer = payer }

    /// All that were refused since the mount.
    var count: UInt64 { state.withLock { $0.total } }

    /// Keeps a refusal, and gives its errno for the caller.
    @discardableResult
    func add(
        _ refusal: Refusal, command: some Collection<UInt8>, file: String, by caller: Caller
    ) -> Errno {
        add(
            refusal, command: command, file: file, by: caller,
            ProcessHandle.process(of: caller.pid))
    }

    /// The same of a command, whose opener may have ended since.
    @discardableResult
    func add(
        _ refusal: Refusal, command: some Collection<UInt8>, file: String, by opener: Opener
    ) -> Errno {
        add(
            refusal, command: command, file: file, by: opener.caller,
            opener.pid)
    }

    private func add(
        _ refusal: Refusal, command: some Collection<UInt8>, file: String, by caller: Caller,
        _ process: ProcessID
    ) -> Errno {
        let time = Timestamp.now()
        let payer = payer(caller.uid)
        let text =
            "pid=\(process.number) uid=\(caller.uid)"
            + " file=\(file) command=\"\(Self.printable(command))\""
            + " errno=\(ErrnoName.of(refusal.errno))"
            + " why=\"\(Self.printable(refusal.why.utf8))\""
        let line = Array("\(time.utc) \(text)\n".utf8)
        let isLast: Bool? = state.withLock { state in
            if state.entries.count == Self.depth { state.makeRoom() }
            state.total += 1
            state.entries.append(Entry(number: state.total, payer: payer, line: line))
            state.counts[payer, default: 0] += 1
            state.changed = time
            return state.budget.take(payer)
        }
        if let isLast {
            let more = isLast ? "; for a minute, more of such is in control/log alone" : ""
            told.call(
                Told(
                    line: "refused: \(text)\(more)", pid: process.number, uid: caller.uid,
                    file: file, command: Self.printable(command),
                    errno: ErrnoName.of(refusal.errno)))
        }
        return refusal.errno
    }

    /// Bytes that do not print as `\xNN`, quotes and backslashes escaped, cut to the width.
    static func printable(_ bytes: some Collection<UInt8>) -> String {
        var result = ""
        for byte in bytes.prefix(width) {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                result += "\\" + String(UnicodeScalar(byte))
            case 0x20...0x7e: result.unicodeScalars.append(UnicodeScalar(byte))
            default: result += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        return bytes.count > width ? result + "..." : result
    }

    var text: String { String(decoding: lines(after: 0).text, as: UTF8.self) }

    /// When the newest line came; nil where there is none.
    var changed: Timestamp? { state.withLock { $0.changed } }

    /// The lines that are newer than line `number` and still kept, the number of the newest, and how
    /// many are not kept any more.
    func lines(after number: UInt64) -> (text: [UInt8], last: UInt64, lost: UInt64) {
        let (entries, last) = state.withLock { ($0.entries, $0.total) }
        let fresh = entries.drop { $0.number <= number }
        return (fresh.flatMap(\.line), last, last - min(last, number) - UInt64(fresh.count))
    }
}
