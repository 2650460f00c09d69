import CFuse
import Glibc
import Synchronization
import SystemPackage

@testable import DevFS

/// What the kernel module has, in this process: sources whose events are records of a ring, regions,
/// and foreign memory, which is copied to a memory device. It outlives the trees on it.
final class FakeHardware: Hardware, EventDevice {
    private struct Source {
        var status: SourceStatus
        var times: [UInt64] = []
    }

    private struct State {
        var sources: [UInt32: Source] = [:]
        var records: [SourceEvent] = []
        var marks: Set<Name> = []
        var isGone = false
        /// Regions whose other file is open.
        var busy: Set<Int> = []
        /// Events are recorded, and nobody is woken for them.
        var isQuiet = false
        var resets = 0
        var isResetting = false
    }

    /// Records that are kept, and times of a source.
    static let depth = 1024
    static let history = 256

    /// How often events were taken, and a source was asked for its status.
    let takes = Atomic(0)
    let looks = Atomic(0)
    private let state = Mutex(State())
    private let bell: EventCounter
    let regions: [Region]
    private let files: [SharedDescriptor]
    let memory: (any Backend)?
    let canReset: Bool

    /// - Parameter regions: name, bytes, and whether they can be written.
    init(
        memory: (any Backend)? = nil, regions: [(String, Int, Bool)] = [], canReset: Bool = false
    ) throws {
        self.memory = memory
        self.canReset = canReset
        bell = try EventCounter()
        self.regions = regions.enumerated().compactMap { index, region in
            Name(region.0).map {
                Region(index: index, name: $0, size: UInt64(region.1), isWritable: region.2)
            }
        }
        files = try regions.map { region in
            let file = try Syscalls.open("/dev/shm", flags: O_RDWR | cfuse_o_tmpfile, mode: 0o600)
            try Syscalls.truncate(file.raw, to: UInt64(region.1))
            return SharedDescriptor(file)
        }
    }

    var events: any EventDevice { self }

    // MARK: What a test does

    @discardableResult
    func add(
        _ name: String, _ source: SignalSource, isEnabled: Bool = true, isOfMount: Bool = false
    ) throws(Errno) -> SourceID {
        guard let name = Name(name) else { throw .invalidArgument }
        return state.withLock { state in
            let free = (0..<64).first { state.sources[$0] == nil } ?? 64
            let id = SourceID(number: free)
            state.sources[free] = Source(
                status: SourceStatus(
                    id: id, name: name, source: source, isEnabled: isEnabled, count: 0, missed: 0))
            if isOfMount { state.marks.insert(name) }
            return id
        }
    }

    /// The source makes events at `time`, `time + 1`, ...
    func fire(_ id: SourceID, _ events: Int = 1, at time: UInt64 = 1000) {
        state.withLock { state in
            for index in 0..<events { Self.fire(&state, id, at: time + UInt64(index)) }
        }
        if !state.withLock({ $0.isQuiet }) { bell.add(1) }
    }

    private static func fire(_ state: inout State, _ id: SourceID, at time: UInt64) {
        guard var source = state.sources[id.number] else { return }
        guard source.status.isEnabled else {
            source.status.missed += 1
            state.sources[id.number] = source
            return
        }
        source.status.count += 1
        source.times = (source.times + [time]).suffix(history)
        state.sources[id.number] = source
        let event = SourceEvent(
            id: id, count: source.status.count, time: time, isStorm: source.status.isStorm)
        state.records = (state.records + [event]).suffix(depth)
    }

    func change(_ id: SourceID, _ body: (inout SourceStatus) -> Void) {
        state.withLock { state in
            guard var source = state.sources[id.number] else { return }
            body(&source.status)
            state.sources[id.number] = source
        }
    }

    /// Another one who has the device open takes a source away.
    func steal(_ id: SourceID) { state.withLock { $0.sources[id.number] = nil } }

    func setQuiet(_ isQuiet: Bool) {
        state.withLock { $0.isQuiet = isQuiet }
        if !isQuiet { bell.add(1) }
    }

    func setBusy(_ region: Int, _ isBusy: Bool) {
        state.withLock { state in
            if isBusy { state.busy.insert(region) } else { state.busy.remove(region) }
        }
    }

    func unplug() {
        state.withLock { $0.isGone = true }
        bell.add(1)
    }

    var names: [String] { state.withLock { $0.sources.values.map(\.status.name.text) }.sorted() }
    var marks: [String] { state.withLock { $0.marks.map(\.text) }.sorted() }

    // MARK: EventDevice

    private func locked<T>(_ body: (inout State) throws(Errno) -> T) throws(Errno) -> T {
        let result: Result<T, Errno> = state.withLock { state in
            if state.isGone { return .failure(.noDevice) }
            do throws(Errno) {
                return .success(try body(&state))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func source(_ id: SourceID, _ state: State) throws(Errno) -> Source {
        guard let source = state.sources[id.number] else { throw .noSuchFileOrDirectory }
        return source
    }

    var eventDescriptor: CInt { bell.raw }
    let batch = 64

    func takeEvents() throws(Errno) -> [SourceEvent] {
        takes.add(1, ordering: .relaxed)
        let (taken, rest) = try locked { (state) throws(Errno) -> ([SourceEvent], Int) in
            if state.isQuiet { return ([], 0) }
            let taken = Array(state.records.prefix(batch))
            state.records.removeFirst(taken.count)
            return (taken, state.records.count)
        }
        if rest == 0 { _ = bell.take() }
        return taken
    }

    func sources() throws(Errno) -> [SourceStatus] {
        try locked { (state) throws(Errno) in
            state.sources.values.map(\.status).sorted { $0.id.number < $1.id.number }
        }
    }

    func status(of id: SourceID) throws(Errno) -> SourceStatus {
        looks.add(1, ordering: .relaxed)
        return try locked { (state) throws(Errno) in try source(id, state).status }
    }

    func makeSource(_ name: Name, _ source: SignalSource) throws(Refusal) -> SourceStatus {
        do throws(Errno) {
            guard try sources().allSatisfy({ $0.name != name }) else { throw .fileExists }
            return try status(of: try add(name.text, source, isEnabled: false))
        } catch {
            throw Refusal(error, "the fake refuses")
        }
    }

    func removeSource(_ id: SourceID) throws(Errno) {
        try locked { (state) throws(Errno) in
            _ = try source(id, state)
            state.sources[id.number] = nil
        }
    }

    func setEnabled(_ isEnabled: Bool, _ id: SourceID) throws(Errno) {
        _ = try status(of: id)
        change(id) {
            $0.isEnabled = isEnabled
            $0.isStorm = false
        }
    }

    func trigger(_ id: SourceID) throws(Errno) {
        _ = try status(of: id)
        fire(id, at: 5000)
    }

    func times(
        of id: SourceID, from first: UInt64
    ) throws(Errno) -> (first: UInt64, times: [UInt64]) {
        try locked { (state) throws(Errno) in
            let source = try source(id, state)
            let oldest = source.status.count - UInt64(source.times.count) + 1
            let start = max(first, oldest)
            return (start, Array(source.times.dropFirst(Int(start - oldest))))
        }
    }

    func mark(_ name: Name, asMount isOfMount: Bool) {
        state.withLock { state in
            if isOfMount { state.marks.insert(name) } else { state.marks.remove(name) }
        }
    }

    func isOfMount(_ name: Name) -> Bool { state.withLock { $0.marks.contains(name) } }

    // MARK: Regions and memory

    func open(_ region: Region, writes: Bool) throws(Errno) -> Descriptor {
        if state.withLock({ $0.busy.contains(region.index) }) { throw .resourceBusy }
        _ = try sources()
        return try Syscalls.reopen(files[region.index].raw, flags: writes ? O_RDWR : O_RDONLY)
    }

    func importMemory(
        _ dmaBuf: CInt, as name: Name, traits: BufferTraits, owner: Ownership
    ) throws(Refusal) -> BufferID {
        // No dma-buf can be made here: any other descriptor is refused, as the module does.
        throw .invalid("the descriptor is no dma-buf")
    }

    func pinMemory(
        _ file: CInt, _ range: Range<UInt64>, as name: Name, traits: BufferTraits, owner: Ownership
    ) throws(Refusal) -> BufferID {
        guard let memory else { throw Refusal(.notSupported, "the fake has no memory") }
        let id = try memory.allocate(name, size: UInt64(range.count), traits: traits, owner: owner)
        do throws(Errno) {
            let bytes = try Syscalls.bytes(of: file, at: range.lowerBound, count: range.count)
            let copy = try memory.open(BufferDescription(id: id, name: name, traits: traits))
            let result = unsafe bytes.withUnsafeBytes { raw -> Result<Int, Errno> in
                do throws(Errno) {
                    return .success(unsafe try memory.write(raw, to: copy.raw, at: 0))
                } catch {
                    return .failure(error)
                }
            }
            _ = try result.get()
        } catch {
            throw Refusal(error, "the fake can't copy")
        }
        return id
    }

    func reset() throws(Errno) {
        _ = try sources()
        let isBusy = state.withLock { state in
            if !state.isResetting { state.resets += 1 }
            return state.isResetting
        }
        if isBusy { throw .resourceTemporarilyUnavailable }
    }

    var resets: Int { state.withLock { $0.resets } }

    /// Others reset it, or do no longer.
    func setResetting(_ isResetting: Bool) { state.withLock { $0.isResetting = isResetting } }

    func facts() throws(Errno) -> [(String, String)] {
        _ = try sources()
        return [("kind", "fake")]
    }
}

/// A tree on a memory device with fake hardware.
func withHardware(
    _ hardware: FakeHardware? = nil, _ body: (Client, FakeHardware) throws -> Void
) throws {
    try withDevice { device in
        let backend = try device.backend()
        let hardware = try hardware ?? FakeHardware(memory: backend)
        let tree = try FileSystem(
            backend, TreeOptions(uid: geteuid(), gid: getegid()), hardware: hardware)
        defer { tree.shutDown() }
        try body(Client(tree: tree), hardware)
    }
}
