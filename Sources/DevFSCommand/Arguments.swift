import ArgumentParser
import DevFS

/// A name of the tree: checked here because it becomes part of a path and of a command line.
extension Name: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
}

/// A number of bytes, at most 2^63-1: decimal or `0x`, with K, M or G, or KiB and so on, behind.
struct ByteCount: ExpressibleByArgument, Sendable {
    let bytes: UInt64
    static let form = "a number of bytes: decimal or 0x, with K, M or G (KiB, MiB, GiB), as in 4M"

    init(_ bytes: UInt64) { self.bytes = bytes }

    init?(argument: String) {
        guard let bytes = MountOptions.byteCount(argument) else { return nil }
        self.bytes = bytes
    }
}

/// A time limit in seconds, 0 to 10^9, with a fraction if need be.
struct Seconds: ExpressibleByArgument, Sendable {
    let duration: Duration

    init?(argument: String) {
        guard let first = argument.first, first.isNumber || first == ".",
            let seconds = Double(argument), (0...1e9).contains(seconds)
        else { return nil }
        duration = .microseconds(Int64(seconds * 1e6))  // fits: no more than 10^15
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

/// The moment at which a command gives up.
struct Deadline {
    private let end: ContinuousClock.Instant?

    init(after limit: Seconds?) {
        end = limit.map { ContinuousClock.now + $0.duration }
    }

    /// Milliseconds left for poll(2), rounded up, at most `longest`; nil once none is left.
    /// A negative `longest` is none.
    func milliseconds(atMost longest: Int32) -> Int32? {
        guard let end else { return longest }
        let left = end - ContinuousClock.now
        guard left > .zero else { return nil }
        let (seconds, attoseconds) = left.components
        let whole = seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1
        return Int32(min(whole, longest < 0 ? 1_000_000_000 : Int64(longest)))
    }
}
