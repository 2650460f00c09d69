import Synchronization

/// A function that somebody sets and others call, from any thread.
///
/// It is boxed: a `Mutex` of the bare function wraps it in one more thunk at each look, so that calls
/// become slower and slower, until the stack is at its end.
final class Callback<Argument>: Sendable {
    private struct Box {
        let function: @Sendable (Argument) -> Void
    }

    private let box = Mutex<Box?>(nil)

    func set(_ function: @escaping @Sendable (Argument) -> Void) {
        box.withLock { $0 = Box(function: function) }
    }

    /// Nothing where none was set. It is called without the lock.
    func call(_ argument: Argument) { box.withLock { $0 }?.function(argument) }
}
