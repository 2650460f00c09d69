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

    init(period: UInt64, periods: UInt64) {
        self.period = period
        self.periods = periods
    }

    /// Bytes of the whole ring.
    var size: UInt64 { period * periods }
    /// Bytes that a reader can have at the most.
    var capacity: UInt64 { size - period }
    /// Bytes to be read.
    var available: UInt64 { produced - consumed }
    /// One more period would overwrite what was not read.
    var isFull: Bool { available + period > capacity }

    /// Where the next byte to read is in the buffer.
    var readOffset: UInt64 { consumed % size }
    /// Where the device fills now.
    var writeOffset: UInt64 { produced % size }

    /// The device filled a period; the oldest are lost where there is no room.
    mutating func produce() {
        produced += period
        if produced > 1 << 62 {
            // Whole rings less: offsets stay what they are.
            let rings = consumed / size * size
            produced -= rings
            consumed -= rings
        }
        guard available > capacity else { return }
        // A period that was read in part is lost as a whole.
        let oldest = produced - capacity
        overruns += (oldest - consumed + period - 1) / period
        consumed = oldest
    }

    /// A period came that could not be kept.
    mutating func refuse() { overruns += 1 }

    /// The reader got `bytes` that began at `position`. False where they were overwritten
    /// meanwhile: then they are not what they were.
    mutating func consume(_ bytes: UInt64, from position: UInt64) -> Bool {
        guard consumed == position, bytes <= available else { return false }
        consumed += bytes
        return true
    }

    /// Starts with an empty ring; what was lost stays counted.
    mutating func restart() {
        produced = 0
        consumed = 0
    }
}
