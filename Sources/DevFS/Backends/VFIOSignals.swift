import Glibc
import Synchronization
import SystemPackage

/// The interrupts of a device that vfio drives, each of which adds to an eventfd: MSI-X, else MSI, else
/// the line. `error` is what PCI reports of it, and `request` that somebody wants the device back,
/// which is its end. Counts begin with the server.
final class VFIOSignals: EventDevice {
    /// As on the module.
    private static let most = 32
    /// Events of a message interrupt in a second that mask it.
    fileprivate static let storm: UInt64 = 100_000
    fileprivate static let second: UInt64 = 1_000_000_000

    fileprivate struct Source {
        var status: SourceStatus
        let kind: VFIOInterrupt
        let vector: Int
        let counter: EventCounter
        /// When the newest events were taken.
        var time: UInt64 = 0
        /// A second, and what came in it.
        var began: UInt64 = 0
        var inSecond: UInt64 = 0
    }

    private struct State {
        var sources: [Source] = []
        var isGone = false
    }

    private let device: VFIODevice
    private let state: Mutex<State>
    private let ready: EventSet
    /// Readable once the device is gone.
    private let end: EventCounter
    /// Takes the messages of sources that are disabled, and wakes nobody.
    private let sink: EventCounter
    /// Nil where the device has no interrupt that could be used.
    let kind: VFIOInterrupt?

    let makesSources = false
    let batch = 1 << 16

    init(_ device: VFIODevice) throws(Errno) {
        self.device = device
        ready = try EventSet()
        end = try EventCounter()
        sink = try EventCounter()
        var sources: [Source] = []
        kind = try Self.interrupts(device, ready, &sources)
        for kind in [VFIOInterrupt.error, .request] {
            try? Self.add(kind, 1, device, ready, &sources)
        }
        try ready.add(end, number: .max)
        state = Mutex(State(sources: sources))
    }

    /// The first kind that the device has and the kernel gives.
    private static func interrupts(
        _ device: VFIODevice, _ ready: EventSet, _ sources: inout [Source]
    ) throws(Errno) -> VFIOInterrupt? {
        for kind in [VFIOInterrupt.messageX, .message, .line] {
            let count = min(VFIOCalls.count(try device.descriptor().raw, of: kind), most)
            guard count > 0 else { continue }
            do throws(Errno) {
                try add(kind, count, device, ready, &sources)
                return kind
            } catch {
                // A line that others share and that can't be masked, say.
                sources.removeAll()
            }
        }
        return nil
    }

    private static func add(
        _ kind: VFIOInterrupt, _ count: Int, _ device: VFIODevice, _ ready: EventSet,
        _ sources: inout [Source]
    ) throws(Errno) {
        let raw = try device.descriptor()
        guard VFIOCalls.count(raw.raw, of: kind) >= count else { throw .noDevice }
        var made: [Source] = []
        for vector in 0..<count {
            let isInterrupt = kind != .error && kind != .request
            let number = UInt32(sources.count + vector)
            guard let name = Name(isInterrupt ? "irq\(vector)" : kind.name) else { continue }
            made.append(
                Source(
                    status: SourceStatus(
                        id: SourceID(number: number), name: name, source: .interrupt,
                        isEnabled: true, count: 0, missed: 0),
                    kind: kind, vector: vector, counter: try EventCounter()))
        }
        // All at once: a later one may not make them more.
        try VFIOCalls.set(raw.raw, kind, from: 0, made.map(\.counter.raw))
        for source in made {
            try ready.add(source.counter, number: UInt64(source.status.id.number))
        }
        sources += made
    }

    var eventDescriptor: CInt { ready.raw }

    // MARK: Events

    func takeEvents() throws(Errno) -> [SourceEvent] {
        let now = Clock.monotonic
        var storms: [SourceID] = []
        var isWanted = false
        let events: [SourceEvent]? = state.withLock { state in
            if state.isGone { return nil }
            var events: [SourceEvent] = []
            for index in state.sources.indices {
                let count = state.sources[index].counter.take()
                guard count > 0 else { continue }
                if state.sources[index].note(count, now) {
                    storms.append(state.sources[index].status.id)
                }
                if state.sources[index].kind == .request { isWanted = true }
                let status = state.sources[index].status
                events.append(
                    SourceEvent(
                        id: status.id, count: status.count, time: now, isStorm: status.isStorm))
            }
            state.isGone = isWanted
            return events
        }
        guard let events else { throw .noDevice }
        for source in storms { try? mask(source, true) }
        if isWanted {
            // Whoever asked waits for this.
            device.letGo()
            end.add(1)
        }
        return events
    }

    func sources() throws(Errno) -> [SourceStatus] {
        try reading { (state) throws(Errno) in state.sources.map(\.status) }
    }

    func status(of source: SourceID) throws(Errno) -> SourceStatus {
        try reading { (state) throws(Errno) in try Self.find(source, state).status }
    }

    private func reading<T>(_ body: (State) throws(Errno) -> T) throws(Errno) -> T {
        try state.withLock { (state) throws(Errno) in
            if state.isGone { throw .noDevice }
            return try body(state)
        }
    }

    private static func find(_ id: SourceID, _ state: State) throws(Errno) -> Source {
        let index = Int(id.number)
        guard state.sources.indices.contains(index) else { throw .noSuchFileOrDirectory }
        return state.sources[index]
    }

    func setEnabled(_ isEnabled: Bool, _ source: SourceID) throws(Errno) {
        try mask(source, !isEnabled)
        state.withLock { state in
            let index = Int(source.number)
            guard state.sources.indices.contains(index) else { return }
            state.sources[index].status.isEnabled = isEnabled
            if isEnabled {
                state.sources[index].status.isStorm = false
                state.sources[index].inSecond = 0
            }
        }
    }

    /// Messages can't be masked by vfio, and one without an eventfd goes astray and faults: one that
    /// is to be silent has another.
    private func mask(_ source: SourceID, _ isMasked: Bool) throws(Errno) {
        let found = try reading { (state) throws(Errno) in try Self.find(source, state) }
        let raw = try device.descriptor()
        if found.kind == .line { return try VFIOCalls.mask(raw.raw, isMasked) }
        try VFIOCalls.set(
            raw.raw, found.kind, from: found.vector, [isMasked ? sink.raw : found.counter.raw])
    }

    /// An eventfd tells how many, and not when: all that came since the last look have its time.
    func times(
        of source: SourceID, from first: UInt64
    ) throws(Errno) -> (first: UInt64, times: [UInt64]) {
        let found = try reading { (state) throws(Errno) in try Self.find(source, state) }
        let count = found.status.count
        guard first <= count else { return (first, []) }
        let start = max(first, count - min(count - 1, 255))
        return (start, [UInt64](repeating: found.time, count: Int(count - start + 1)))
    }

    // MARK: What it has not

    func makeSource(_ name: Name, _ source: SignalSource) throws(Refusal) -> SourceStatus {
        throw Refusal(.notSupported, "vfio makes no signals")
    }
    func removeSource(_ source: SourceID) throws(Errno) { throw .notPermitted }
    func trigger(_ source: SourceID) throws(Errno) { throw .notSupported }
    func mark(_ name: Name, asMount isOfMount: Bool) {}
    func isOfMount(_ name: Name) -> Bool { false }
}

extension VFIOSignals.Source {
    /// - Returns: that is too many, so it has to be masked.
    fileprivate mutating func note(_ count: UInt64, _ now: UInt64) -> Bool {
        status.count = status.count.addingClamped(count)
        time = now
        if kind == .line {
            // The kernel has masked it.
            status.isEnabled = false
            return false
        }
        if now - began >= VFIOSignals.second {
            began = now
            inSecond = 0
        }
        inSecond = inSecond.addingClamped(count)
        guard inSecond > VFIOSignals.storm, status.isEnabled else { return false }
        status.isEnabled = false
        status.isStorm = true
        return true
    }
}
