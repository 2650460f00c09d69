import SystemPackage

/// The readers and pollers that wait on one open file, as part of its locked state.
struct ReadQueue {
    private var reads: [any ParkedRead] = []
    private var pollers: [any PollWaiter] = []

    var first: (any ParkedRead)? { reads.first }

    mutating func park(_ read: any ParkedRead) { reads.append(read) }

    mutating func removeFirst() { reads.removeFirst() }

    /// False where the read was finished already.
    mutating func cancel(_ read: any ParkedRead) -> Bool {
        guard let index = reads.firstIndex(where: { $0 === read }) else { return false }
        reads.remove(at: index)
        return true
    }

    mutating func add(_ poller: (any PollWaiter)?) {
        if let poller { pollers.append(poller) }
    }

    /// All pollers: each is woken once.
    mutating func takePollers() -> [any PollWaiter] {
        defer { pollers.removeAll() }
        return pollers
    }

    mutating func takeAll() -> [any ParkedRead] {
        defer { reads.removeAll() }
        return reads
    }
}
