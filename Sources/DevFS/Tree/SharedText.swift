import Synchronization

/// A text that all share who opened the same file while it said the same.
final class SharedText: Sendable {
    let bytes: [UInt8]
    private let ended: (@Sendable () -> Void)?

    private struct Payment {
        weak var charge: Quotas.Charge?
    }
    private let payments = Mutex<[UInt32: Payment]>([:])

    /// What is worth asking the allocator for, in bytes.
    static let long = 1 << 20

    /// - Parameter ended: called when a long one is about to go.
    init(_ bytes: [UInt8], ended: (@Sendable () -> Void)? = nil) {
        self.bytes = bytes
        self.ended = bytes.count >= Self.long ? ended : nil
    }

    deinit { ended?() }

    /// What a user pays, once for all that he has open of it and as long as he has; nil where he has
    /// no more to give.
    func charge(to uid: UInt32, in quotas: Quotas) -> Quotas.Charge? {
        payments.withLock { payments in
            if let present = payments[uid]?.charge { return present }
            let charge = quotas.tryCharge(.text, UInt64(bytes.count), to: uid)
            payments[uid] = Payment(charge: charge)
            return charge
        }
    }
}

extension FileSystem {
    /// A long one is kept by those who have it open alone.
    struct Report {
        weak var text: SharedText?
        var kept: SharedText?
    }

    /// The same text, and whether another open file has it already.
    func shared(_ bytes: [UInt8], of path: String) -> (text: SharedText, isShared: Bool) {
        reports.withLock { reports in
            if let present = reports[path]?.text, present.bytes == bytes { return (present, true) }
            let text = SharedText(bytes) { [weak self] in self?.giveBackMemory() }
            reports[path] = Report(text: text, kept: bytes.count > 1 << 16 ? nil : text)
            return (text, false)
        }
    }

    /// What very long lists took goes back to the system. It takes a while, so the pool does it.
    func giveBackMemory() {
        guard !isTidying.exchange(true, ordering: .acquiring) else { return }
        pool.run(
            WorkPool.Item(
                uid: options.uid, lane: nil,
                body: { [self] in
                    isTidying.store(false, ordering: .releasing)
                    Syscalls.giveBackMemory()
                }, stalled: { [weak self] in self?.isTidying.store(false, ordering: .releasing) }))
    }
}
