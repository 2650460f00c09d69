import Synchronization
import SystemPackage

/// A stream's number in its mount.
package struct StreamID: Hashable, Sendable, Comparable {
    let number: UInt64

    package static func < (left: StreamID, right: StreamID) -> Bool { left.number < right.number }
}

/// A buffer as a ring of periods that a device fills and one reader empties.
///
/// Lock order: the reader's lock, then the stream's. Neither is held over a reply; bytes are copied
/// under the reader's own lock, which nobody else wants.
final class Stream: SignalListener {
    enum Status: String {
        case armed, running, stopped, overrun
    }

    struct State {
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
        /// How often the ring began anew, the generator's next word, and events of the source that
        /// were told of: for the next server.
        var epoch: UInt64 = 0
        var counter: UInt32 = 0
        var told: UInt64 = 0
        /// Where the reader's position is kept, and from where on bytes were given to him that were
        /// not answered yet.
        var handle: KeptHandle?
        var unanswered: [UInt64] = []
        /// The last request that released bytes, and whether they were torn: it may come again.
        var release: (request: UInt64, wasTorn: Bool) = (0, false)

        var kept: KeptStream.State {
            KeptStream.State(
                produced: ring.produced, consumed: ring.consumed, overruns: ring.overruns,
                status: Stream.numbers[status] ?? 0, watermark: watermark, seen: seen,
                opened: opened.map { $0 + 1 } ?? 0, epoch: epoch, counter: UInt64(counter),
                told: told, beyond: ring.beyond, held: ring.held, release: release)
        }
    }

    private static let numbers: [Status: UInt64] = [
        .armed: 0, .running: 1, .stopped: 2, .overrun: 3,
    ]

    let id: StreamID
    let definition: StreamDefinition
    /// The uid that made it: who may end it and set it.
    let owner: UInt32
    let memory: BufferMemory
    /// Of who made it, until nobody has it: a write of the generator that hangs has it, too.
    private let charge: Quotas.Charge?
    /// Where it outlives the server.
    let kept: KeptStream?
    let state: Mutex<State>

    var name: Name { definition.name }
    var descriptor: CInt { memory.descriptor.raw }

    /// - Parameter size: bytes of the buffer, whole periods, two or more.
    init(
        _ id: StreamID, _ definition: StreamDefinition, memory: BufferMemory, size: UInt64,
        owner: UInt32 = 0, charge: Quotas.Charge? = nil, kept: KeptStream? = nil
    ) {
        self.kept = kept
        self.owner = owner
        self.charge = charge
        self.id = id
        self.definition = definition
        self.memory = memory
        let periods = size / definition.period
        guard let kept, kept.id != 0 else {
            let fresh = State(
                ring: Ring(period: definition.period, periods: periods),
                watermark: definition.watermark ?? definition.period)
            kept?.set(fresh.kept)
            state = Mutex(fresh)
            return
        }
        let before = kept.state
        var now = State(
            ring: Ring(
                period: definition.period, periods: periods, produced: before.produced,
                consumed: before.consumed, overruns: before.overruns, held: before.held,
                beyond: before.beyond),
            watermark: before.watermark)
        now.status = Self.numbers.first { $0.value == before.status }?.key ?? .stopped
        (now.seen, now.told, now.epoch) = (before.seen, before.told, before.epoch)
        now.release = before.release
        now.counter = UInt32(truncatingIfNeeded: before.counter)
        now.opened = before.opened > 0 ? before.opened - 1 : nil
        state = Mutex(now)
    }

    /// What it is changed to is known to the next server when that returns.
    func change<T: Sendable>(_ body: (inout State) -> T) -> T {
        state.withLock { state in
            let result = body(&state)
            kept?.set(state.kept)
            return result
        }
    }

    /// The generator's next word.
    var counter: UInt32 { state.withLock { $0.counter } }

    var status: Status { state.withLock { $0.status } }
    var overruns: UInt64 { state.withLock { $0.ring.overruns } }
    var available: UInt64 { state.withLock { $0.ring.available } }
    /// Bytes that the device has filled since the stream started.
    var produced: UInt64 { state.withLock { $0.ring.produced } }
    /// Bytes of the ring.
    var size: UInt64 { state.withLock { $0.ring.size } }
    var watermark: UInt64 { state.withLock { $0.watermark } }
    var isRemoved: Bool { state.withLock { $0.isRemoved } }

    /// False where it is not 1 to the ring less one period.
    func setWatermark(_ bytes: UInt64) -> Bool {
        let isValid = change { state in
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
    func pass(_ number: UInt64) {
        change { state in
            state.seen = max(state.seen, number)
            state.told = number
        }
    }

    /// Counts what its source did in the moment in which the server before this one died.
    func makeUp(to number: UInt64) {
        change { state in
            guard number > state.told else { return }
            let periods = number - state.told
            state.told = number
            state.seen = max(state.seen, number)
            count(periods, &state)
        }
        wakeGenerator()
    }

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
            if state.status == .overrun {
                state.ring.restart()
                state.epoch += 1
                state.unanswered.removeAll()
            }
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
        change { state in
            prepare(&state)
        }
        wakeGenerator()
        wakeReader()
    }

    func stop() {
        // Who has it open has what came since.
        if state.withLock({ $0.opened }) != nil { begin() }
        change { $0.status = .stopped }
        wakeReader()
    }

    /// The device has filled a period; false where the stream does not run.
    /// - Parameter word: the first one of the next period.
    func periodFilled(next word: UInt32 = 0) -> Bool {
        let isCounted = change { state in
            guard state.status == .running else { return false }
            count(1, &state)
            state.counter = word
            return true
        }
        wakeReader()
        return isCounted
    }

    private func count(_ periods: UInt64, _ state: inout State) {
        guard state.status == .running else {
            if state.status == .overrun { state.ring.pass(periods) }
            return
        }
        let kept = definition.policy == .stop ? min(periods, state.ring.room) : periods
        state.ring.produce(kept)
        guard kept < periods else { return }
        state.ring.refuse()
        state.ring.pass(periods - kept)
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
            change { state in
                state.seen = max(state.seen, numbers.upperBound)
                state.told &+= numbers.length
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
                definition.policy == .overwrite || !state.ring.isFull,
                // What is on its way to the reader would be copied once more for him.
                definition.policy == .overwrite
                    || state.unanswered.allSatisfy({ state.ring.hasRoom(keeping: $0) })
            else { return nil }
            return state.ring.writeOffset
        }
    }

    func setGenerator(_ wake: (@Sendable () -> Void)?) {
        state.withLock { $0.generator = wake }
    }

    func wakeReader() { state.withLock { $0.reader }?() }
    func wakeGenerator() { state.withLock { $0.generator }?() }

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
            if state.status == .armed { state.opened = state.opened ?? count ?? state.seen }
            kept?.set(state.kept)
        }
    }

    func detach() {
        change { state in
            state.hasReader = false
            state.reader = nil
            state.opened = nil
            state.handle = nil
            state.unanswered.removeAll()
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

    /// At most `size` bytes that are next; nil where there are none yet, empty at the end.
    func takeNext(_ size: Int) throws(Errno) -> ArraySlice<UInt8>? {
        while true {
            switch next(size) {
            case .wait: return nil
            case .end: return []
            case .failed(let error): throw error
            case .bytes(let position, let offset, let count):
                if let bytes = try take(position: position, offset: offset, count: count) {
                    return bytes
                }
            }
        }
    }

    /// Copies bytes out of the ring; nil where they were overwritten while they were copied.
    func take(position: UInt64, offset: UInt64, count: Int) throws(Errno) -> ArraySlice<UInt8>? {
        // pread and not a load: someone who holds the file may have cut it, which would be SIGBUS.
        let bytes = try Syscalls.bytes(of: descriptor, at: offset, count: count)
        guard bytes.count == count else { throw .ioError }
        // The device may have filled on: what it overwrote meanwhile is not what it was.
        catchUp()
        let isWhole = give(UInt64(count), from: position)
        wakeGenerator()
        return isWhole ? bytes[...] : nil
    }

    private func give(_ count: UInt64, from position: UInt64) -> Bool {
        guard kept != nil else {
            return state.withLock { $0.ring.consume(count, from: position) }
        }
        let undertaking = Undertaking.current
        let isWhole = change { state in
            guard state.ring.consume(count, from: position) else { return false }
            // Who asks for more has what he was given before.
            state.unanswered = undertaking == nil ? [] : [position]
            state.handle?.set(
                .init(position: position + count, count: state.epoch),
                answering: undertaking?.unique ?? 0,
                with: Array("\(position) \(count)".utf8))
            return true
        }
        undertaking?.whenEnded { [weak self] in self?.answered(position) }
        return isWhole
    }

    /// The reader has what was given to him from that position on.
    private func answered(_ position: UInt64) {
        state.withLock { $0.unanswered.removeAll { $0 == position } }
        wakeGenerator()
    }

    /// The reader's position is kept there; or it was by the server before this one.
    func keep(in handle: KeptHandle, isAdopted: Bool) {
        change { state in
            if isAdopted {
                let before = handle.progress
                if before.count == state.epoch { state.ring.skip(to: before.position) }
                let last = UInt64(String(decoding: before.rest, as: UTF8.self))
                state.unanswered = before.count == state.epoch ? [last].compactMap { $0 } : []
            } else {
                handle.set(
                    .init(position: state.ring.consumed, count: state.epoch), answering: 0,
                    with: [])
            }
            state.handle = handle
        }
    }

    /// Bytes that the server before this one had given, and maybe not told; nil where they were
    /// overwritten since, and count as lost.
    func again(_ answer: [UInt8]) throws(Errno) -> ArraySlice<UInt8>? {
        let words = String(decoding: answer, as: UTF8.self).split(separator: " ")
        guard words.count == 2, let position = UInt64(words[0]), let count = Int(words[1]) else {
            throw .ioError
        }
        Undertaking.current?.whenEnded { [weak self] in self?.forgetUnanswered() }
        let offset = state.withLock { position % $0.ring.size }
        let bytes = try Syscalls.bytes(of: descriptor, at: offset, count: count)
        let isWhole = change { state in
            if state.ring.isWhole(from: position) { return true }
            state.ring.refuse()
            return false
        }
        return isWhole && bytes.count == count ? bytes[...] : nil
    }

    /// The reader asks, so he has what he was given before.
    func asked() {
        if kept != nil, state.withLock({ !$0.unanswered.isEmpty }) { forgetUnanswered() }
    }

    private func forgetUnanswered() {
        state.withLock { $0.unanswered.removeAll() }
        wakeGenerator()
    }

    /// There may be something to fill.
    func resume() { wakeGenerator() }
}
