import CFuse

/// What the numbers of the ledger's open files mean in this process: addresses, found without a lock.
///
/// *Safety*: the words are there as long as the process, and are read and written as atomics.
@safe final class KeptAddresses: @unchecked Sendable {
    static let shared = KeptAddresses()
    /// The newest number of each place, and the address.
    private let words: UnsafeMutablePointer<UInt64>
    private static let places = 65_536

    private init() {
        unsafe words = .allocate(capacity: 2 * Self.places)
        unsafe words.initialize(repeating: 0, count: 2 * Self.places)
    }

    private func place(_ number: UInt64) -> Int? {
        let index = LedgerHandles.index(number)
        return index < Self.places ? 2 * index : nil
    }

    func set(_ address: UInt64, of number: UInt64) {
        guard let place = place(number) else { return }
        unsafe cfuse_store(words + place, 0)
        unsafe cfuse_store(words + place + 1, address)
        unsafe cfuse_store(words + place, number)
    }

    func forget(_ number: UInt64) {
        guard let place = place(number), unsafe cfuse_load(words + place) == number else { return }
        unsafe cfuse_store(words + place, 0)
    }

    /// 0 where no open file has the number.
    subscript(number: UInt64) -> UInt64 {
        guard let place = place(number), unsafe cfuse_load(words + place) == number else {
            return 0
        }
        return unsafe cfuse_load(words + place + 1)
    }
}
