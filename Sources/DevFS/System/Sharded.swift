import Synchronization

/// Values by number, for many threads at once.
///
/// One lock for all of them is a convoy: with 3,000 readers that a timer wakes, half of the server's
/// time went to waiting for it.
final class Sharded<Value: Sendable>: Sendable {
    private final class Shard: Sendable {
        let values = Mutex<[UInt: Value]>([:])
    }

    private let shards = (0..<64).map { _ in Shard() }

    private func shard(_ number: UInt) -> Shard { shards[Int(number % UInt(shards.count))] }

    subscript(number: UInt) -> Value? {
        get { shard(number).values.withLock { $0[number] } }
        set { shard(number).values.withLock { $0[number] = newValue } }
    }

    /// What is there at some time during the call.
    var all: [Value] { shards.flatMap { $0.values.withLock { Array($0.values) } } }
}
