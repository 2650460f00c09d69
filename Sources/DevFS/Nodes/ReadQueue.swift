import SystemPackage

/// The readers and pollers that wait on one open file, as part of its locked state.
struct ReadQueue {
    private var reads: [any ParkedRead] = []
    /// The newest: the kernel has one for each open file, however many poll it.
    private var poller: (any PollWaiter)?

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
        if let poller { self.poller = poller }
    }

    /// The poller, which is woken once.
    mutating func takePoller() -> (any PollWaiter)? {
        defer { poller = nil }
        return poller
    }

    mutating func takeAll() -> [any ParkedRead] {
        defer { reads.removeAll() }
        return reads
    }
}
