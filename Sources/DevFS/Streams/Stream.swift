import Synchronization
import SystemPackage

/// A stream's number in its mount.
public struct StreamID: Hashable, Sendable, Comparable {
    let number: UInt64

    public static func < (left: StreamID, right: StreamID) -> Bool { left.number < right.number }
}

/// A buffer as a ring of periods that a device fills and one reader empties.
///
/// Lock order: the reader's lock, then the stream's. Neither is held over a reply; bytes are copied
/// under the reader's own lock, which nobody else wants.
final class Stream: SignalListener {
    enum Status: String {
        case armed, running, stopped, overrun
    }

    private struct State {
        var ring: Ring
        var status = Status.armed
        var watermark: UInt64
        var isRemoved = false
        /// Number of the source's last event that is accounted for.
        var seen: UInt64 = 0
        /// The source's events so far, where a device makes them.
        var clock: (@Sendable () -> UInt64?)?
        var hasReader = false
        /// The source's last event before the reader opened it, until the stream starts.
        var opened: UInt64?
        var reader: (@Sendable () -> Void)?
        /// Told when there may be room again.
        var generator: (@Sendable () -> Void)?
    }

    let id: StreamID
    let definition: StreamDefinition
    /// The uid that made it: who may end it and set it.
    let owner: UInt32
    private let memory: BufferMemory
    /// Of who made it, until nobody has it: a write of the generator that hangs has it, too.
    private let charge: Quotas.Charge?
    private let state: Mutex<State>

    var name: Name { definition.name }
    var descriptor: CInt { memory.descriptor.raw }

    /// - Parameter size: bytes of the buffer, whole periods, two or more.
    init(
        _ id: StreamID, _ definition: StreamDefinition, memory: BufferMemory, size: UInt64,
        owner: UInt32 = 0, charge: Quotas.Charge? = nil
    ) {
        self.owner = owner
        self.charge = charge
        self.id = id
        self.definition = definition
        self.memory = memory
        state = Mutex(
            State(
                ring: Ring(period: definition.period, periods: size / definition.period),
                watermark: definition.watermark ?? definition.period))
    }

    var status: Status { state.withLock { $0.status } }
    var overruns: UInt64 { state.withLock { $0.ring.overruns } }
    var available: UInt64 { state.withLock { $0.ring.available } }
    var watermark: UInt64 { state.withLock { $0.watermark } }
    var isRemoved: Bool { state.withLock { $0.isRemoved } }

    /// False where it is not 1 to the ring less one period.
    func setWatermark(_ bytes: UInt64) -> Bool {
        let isValid = state.withLock { state in
            guard (1...state.ring.capacity).contains(bytes) else { return false }
            state.watermark = bytes
            return true
        }
        wakeReader()
        return isValid
    }

    /// Gives the number of the source's last event as the device has it, which may be ahead of
    /// `happened`: the device fills on while the server is busy.
    func setClock(_ clock: @escaping @Sendable () -> UInt64?) {
        let count = clock() ?? 0
        state.withLock { state in
            state.clock = clock
            state.seen = count
        }
    }

    /// Events up to here are before its time.
    func pass(_ number: UInt64) { state.withLock { $0.seen = max($0.seen, number) } }

    /// Counts what its source has done by now; itself, to be asked afterwards.
    @discardableResult
    func catchUp() -> Stream {
        if let count = state.withLock({ $0.clock })?() { advance(to: count) }
        return self
    }

    func start() {
        let count = state.withLock { $0.clock }?()
        start { state in
            // Events before that are not its.
            if state.status != .running, let count { state.seen = count }
            // A ring that ran over starts empty; one that was stopped goes on where it was.
            if state.status == .overrun { state.ring.restart() }
            state.status = .running
            state.opened = nil
        }
    }

    /// It is armed, and nothing has come since its reader opened it.
    var isQuiet: Bool {
        let count = state.withLock { $0.clock }?()
        return state.withLock { state in
            state.status == .armed && state.opened == max(state.seen, count ?? 0)
        }
    }

    /// The reader reads: starts it if it is armed, as if it had been done when he opened it.
    func begin() {
        guard state.withLock({ $0.opened }) != nil else { return }
        let count = state.withLock { $0.clock }?()
        start { state in
            guard let number = state.opened.take(), state.status == .armed else { return }
            state.status = .running
            let last = max(state.seen, count ?? state.seen, number)
            state.seen = last
            self.count(last - number, &state)
        }
    }

    private func start(_ prepare: (inout State) -> Void) {
        state.withLock { state in
            prepare(&state)
        }
        wakeGenerator()
        wakeReader()
    }

    func stop() {
        // Who has it open has what came since.
        if state.withLock({ $0.opened }) != nil { begin() }
        state.withLock { $0.status = .stopped }
        wakeReader()
    }

    /// The device has filled a period; false where the stream does not run.
    func periodFilled() -> Bool {
        let isCounted = state.withLock { state in
            guard state.status == .running else { return false }
            count(1, &state)
            return true
        }
        wakeReader()
        return isCounted
    }

    private func count(_ periods: UInt64, _ state: inout State) {
        guard state.status == .running else { return }
        let kept = definition.policy == .stop ? min(periods, state.ring.room) : periods
        state.ring.produce(kept)
        guard kept < periods else { return }
        state.ring.refuse()
        state.status = .overrun
    }

    /// Events are accounted for once, whoever learns of them first.
    private func advance(to number: UInt64) {
        state.withLock { state in
            guard number > state.seen else { return }
            let periods = number - state.seen
            state.seen = number
            count(periods, &state)
        }
    }

    func happened(_ numbers: ClosedRange<UInt64>, at time: UInt64) {
        if state.withLock({ $0.clock }) == nil {
            state.withLock { state in
                state.seen = max(state.seen, numbers.upperBound)
                count(numbers.length, &state)
            }
        } else {
            advance(to: numbers.upperBound)
        }
        wakeReader()
    }

    /// Its signal is gone; what is in the ring can still be read.
    func ended() { stop() }

    /// Ends it: readers get ENODEV.
    func end() {
        state.withLock { $0.isRemoved = true }
        wakeReader()
        wakeGenerator()
    }

    /// Where the generator fills next; nil while it must wait for room or for the start.
    func nextPeriod() -> UInt64? {
        state.withLock { state in
            guard state.status == .running, !state.isRemoved,
                definition.policy == .overwrite || !state.ring.isFull
            else { return nil }
            return state.ring.writeOffset
        }
    }

    func setGenerator(_ wake: (@Sendable () -> Void)?) {
        state.withLock { $0.generator = wake }
    }

    private func wakeReader() { state.withLock { $0.reader }?() }
    private func wakeGenerator() { state.withLock { $0.generator }?() }

    // MARK: The reader

    /// Nothing starts before the reader reads or polls: what opens everything changes nothing.
    /// - Throws: EBUSY where there is one; ENODEV.
    func attach(_ wake: @escaping @Sendable () -> Void) throws(Errno) {
        let count = state.withLock { $0.clock }?()
        try state.withLock { (state) throws(Errno) in
            if state.isRemoved { throw .noDevice }
            if state.hasReader { throw .resourceBusy }
            state.hasReader = true
            state.reader = wake
            if state.status == .armed { state.opened = count ?? state.seen }
        }
    }

    func detach() {
        state.withLock { state in
            state.hasReader = false
            state.reader = nil
            state.opened = nil
        }
    }

    enum Next: Equatable {
        /// Bytes from this offset of the buffer, which began at `position` of the stream.
        case bytes(position: UInt64, offset: UInt64, count: Int)
        case wait
        case end
        case failed(Errno)
    }

    /// What a read of `size` bytes would get now.
    func next(_ size: Int) -> Next {
        state.withLock { state in
            if state.isRemoved { return .failed(.noDevice) }
            let ring = state.ring
            let isOver = state.status == .stopped || state.status == .overrun
            if ring.available == 0 {
                return switch state.status {
                case .stopped: .end
                case .overrun: .failed(.brokenPipe)
                default: .wait
                }
            }
            // A read of fewer bytes than the watermark still waits for the watermark; but a ring
            // that takes no more period is not going to get there.
            guard isOver || ring.isFull || ring.available >= state.watermark else { return .wait }
            let run = min(ring.available, ring.size - ring.readOffset, UInt64(size))
            return .bytes(position: ring.consumed, offset: ring.readOffset, count: Int(run))
        }
    }

    /// Copies bytes out of the ring; nil where they were overwritten while they were copied.
    func take(position: UInt64, offset: UInt64, count: Int) throws(Errno) -> ArraySlice<UInt8>? {
        // pread and not a load: someone who holds the file may have cut it, which would be SIGBUS.
        let bytes = try Syscalls.bytes(of: descriptor, at: offset, count: count)
        guard bytes.count == count else { throw .ioError }
        // The device may have filled on: what it overwrote meanwhile is not what it was.
        catchUp()
        let isWhole = state.withLock { $0.ring.consume(UInt64(count), from: position) }
        wakeGenerator()
        return isWhole ? bytes[...] : nil
    }
}
