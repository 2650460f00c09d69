/// The arithmetic of a buffer that is a ring of periods: positions only, no memory, no locks.
///
/// Positions are bytes since the start. The device fills the period at `produced`, so a reader may
/// have at most the `periods - 1` before it.
struct Ring: Equatable {
    /// Bytes.
    let period: UInt64
    /// At least 2.
    let periods: UInt64
    /// What the device has filled, a multiple of the period.
    private(set) var produced: UInt64 = 0
    /// What the reader was given.
    private(set) var consumed: UInt64 = 0
    /// Periods lost.
    private(set) var overruns: UInt64 = 0
    /// What a reader that maps the ring was told of and has not released yet.
    private(set) var held: Range<UInt64>?
    /// Periods that the device filled since the ring was full and took no more.
    private(set) var beyond: UInt64 = 0

    init(period: UInt64, periods: UInt64) {
        self.period = period
        self.periods = periods
    }

    /// As an earlier server had it.
    init(
        period: UInt64, periods: UInt64, produced: UInt64, consumed: UInt64, overruns: UInt64,
        held: Range<UInt64>? = nil, beyond: UInt64 = 0
    ) {
        self.init(period: period, periods: periods)
        self.held = held
        self.beyond = beyond
        self.produced = max(produced, consumed)
        self.consumed = max(consumed, self.produced - min(self.produced, capacity))
        self.overruns = overruns
    }

    /// The reader has what is before `position`.
    mutating func skip(to position: UInt64) {
        if position > consumed && position <= produced { consumed = position }
    }

    /// Periods can be filled so that nothing from `position` on is overwritten.
    func hasRoom(keeping position: UInt64) -> Bool {
        produced - min(position, produced) + period <= capacity
    }

    /// Bytes from `position` on are what they were, also while the next period is being filled.
    func isWhole(from position: UInt64) -> Bool {
        position <= produced && produced - position <= capacity
    }

    /// Bytes of the whole ring.
    var size: UInt64 { period * periods }
    /// Bytes that a reader can have at the most.
    var capacity: UInt64 { size - period }
    /// Bytes to be read.
    var available: UInt64 { produced - consumed }
    /// Periods that can be filled before what was not read is overwritten.
    var room: UInt64 { (capacity - available) / period }
    /// One more period would overwrite what was not read.
    var isFull: Bool { room == 0 }

    /// Where the next byte to read is in the buffer.
    var readOffset: UInt64 { consumed % size }
    /// Where the device fills now.
    var writeOffset: UInt64 { produced % size }

    /// The device filled so many periods; the oldest are lost where there is no room. In no more
    /// time for many than for one.
    mutating func produce(_ count: UInt64 = 1) {
        let lost = count - min(count, room)
        // A period that was read in part is lost as a whole.
        let end = UInt128(produced) + UInt128(count) * UInt128(period)
        let start = lost == 0 ? UInt128(consumed) : end - UInt128(capacity)
        overruns = overruns.addingClamped(lost)
        let before = consumed
        if end > 1 << 62 {
            // Whole rings less: offsets stay what they are.
            consumed = UInt64(start % UInt128(size))  // fits: below a size of 64 bits
            // Who holds bytes holds them by positions that are no more.
            held = nil
            // What is copied at the moment must not be taken for what is there now.
            if lost > 0 && consumed == before { consumed += size }
        } else {
            consumed = UInt64(start)  // fits: not beyond `end`
        }
        produced = consumed + UInt64(end - start)  // fits: no more than the ring's size
    }

    /// A period came that could not be kept.
    mutating func refuse() { overruns = overruns.addingClamped(1) }

    /// The reader got `bytes` that began at `position`. False where they were overwritten
    /// meanwhile: then they are not what they were.
    mutating func consume(_ bytes: UInt64, from position: UInt64) -> Bool {
        guard consumed == position, bytes <= available else { return false }
        consumed += bytes
        held = nil
        return true
    }

    /// What lies ready in one piece, which ends with the ring.
    var ready: Range<UInt64> { consumed..<consumed + min(available, size - readOffset) }

    /// The reader has what is ready, where it lies, until he releases it.
    mutating func hold() { held = ready }

    enum Release: Equatable {
        case whole
        /// The device has overwritten some of it.
        case torn
        /// The reader holds nothing that ends there.
        case unknown
    }

    /// The reader needs what he holds before `position` no longer. It is released in either case.
    mutating func release(to position: UInt64) -> Release {
        guard let held, held.lowerBound <= position, position <= held.upperBound else {
            return .unknown
        }
        let isWhole = held.isEmpty || isWhole(holding: held.lowerBound)
        consumed = max(consumed, position)
        self.held = position..<held.upperBound
        return isWhole ? .whole : .torn
    }

    /// No byte from there on was overwritten. A device that did not stop when the ring was full has
    /// filled the free period first.
    private func isWhole(holding position: UInt64) -> Bool {
        let filled = UInt128(produced) + UInt128(beyond) * UInt128(period)
        return position >= consumed && filled - UInt128(position) <= UInt128(size)
    }

    /// The device filled on while the ring took nothing.
    mutating func pass(_ periods: UInt64) { beyond = beyond.addingClamped(periods) }

    /// Starts with an empty ring; what was lost stays counted. Positions go on, so that nobody takes
    /// what comes for what he holds.
    mutating func restart() {
        let rings = produced / size + (produced.isMultiple(of: size) ? 0 : 1)
        let next = UInt128(rings) * UInt128(size)
        if next > 1 << 62 { held = nil }
        produced = next > 1 << 62 ? 0 : UInt64(next)  // fits: checked
        consumed = produced
        beyond = 0
    }
}
