import Synchronization

/// Which records of a table are free. Those that never were used are not looked at: to look at one
/// gives it memory.
final class LedgerPlaces: Sendable {
    private struct State {
        var free: [Int] = []
        var next: Int
    }

    private let count: Int
    /// In the head: places that were ever used.
    private let used: @Sendable (Int) -> Void
    private let state: Mutex<State>

    /// - Parameters:
    ///   - table: the records, which all begin with a word that is 0 where they are free.
    ///   - next: what `used` was told last.
    init(of table: LedgerTable, next: UInt64, used: @escaping @Sendable (Int) -> Void) {
        count = table.count
        self.used = used
        let next = min(Int(clamping: next), table.count)
        state = Mutex(
            State(free: (0..<next).reversed().filter { table[$0][0] == 0 }, next: next))
    }

    /// Nil where there is none left.
    func take() -> Int? {
        state.withLock { state in
            if let index = state.free.popLast() { return index }
            guard state.next < count else { return nil }
            state.next += 1
            used(state.next)
            return state.next - 1
        }
    }

    func give(_ index: Int) { state.withLock { $0.free.append(index) } }

    /// Those that may be in use.
    var range: Range<Int> { 0..<state.withLock { $0.next } }
}
