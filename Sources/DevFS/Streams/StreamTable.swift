import Synchronization
import SystemPackage

/// All streams of a mount, with what fills them.
final class StreamTable: Sendable {
    private struct Entry: NamedEntry {
        var stream: Stream
        var buffer: Buffer
        var signal: Signal?
        var generator: PatternGenerator?

        var id: StreamID { stream.id }
        var name: Name { stream.name }
    }

    private struct State {
        var entries = NamedTable<Entry>()
        /// Names and buffers of streams that are there, or are being made.
        var names: Set<Name> = []
        var buffers: Set<BufferID> = []
        var next: UInt64 = 1
        var changed = Timestamp.now()
    }

    private let buffers: BufferTable
    private let signals: SignalTable
    private let patterns: PatternEngine
    private let quotas: Quotas
    private let ledger: Ledger?
    private let kept: LedgerStreams?
    private let state = Mutex(State())

    init(
        _ buffers: BufferTable, _ signals: SignalTable, quotas: Quotas, ledger: Ledger? = nil
    ) {
        self.ledger = ledger
        kept = ledger.map { LedgerStreams($0) }
        self.buffers = buffers
        self.signals = signals
        patterns = PatternEngine(signals.loop)
        self.quotas = quotas
    }

    subscript(id: StreamID) -> Stream? { state.withLock { $0.entries[id]?.stream } }
    subscript(name: Name) -> Stream? { state.withLock { $0.entries[name]?.stream } }
    var all: [Stream] { state.withLock { $0.entries.all.map(\.stream) } }
    var count: Int { state.withLock { $0.entries.count } }
    var changed: Timestamp { state.withLock { $0.changed } }

    /// The buffer that it is; nil once it has ended.
    func buffer(of stream: Stream) -> Buffer? { state.withLock { $0.entries[stream.id]?.buffer } }

    /// - Parameters:
    ///   - buffer: that of the definition, on which the owner has the rights.
    ///   - owner: whose the stream is.
    ///   - payer: whose quota it counts in.
    func create(
        _ definition: StreamDefinition, on buffer: Buffer, owner: UInt32, payer: UInt32
    ) throws(Refusal) {
        let charge = try quotas.charge(.streams, to: payer)
        try state.withLock { (state) throws(Refusal) in
            guard state.names.insert(definition.name).inserted else {
                throw Refusal(.fileExists, "\(definition.name) is there already")
            }
            guard state.buffers.insert(buffer.id).inserted else {
                state.names.remove(definition.name)
                throw Refusal(.resourceBusy, "\(definition.buffer) streams already")
            }
        }
        do throws(Refusal) {
            try start(definition, buffer, owner, charge, payer)
        } catch {
            state.withLock { state in
                state.names.remove(definition.name)
                state.buffers.remove(buffer.id)
            }
            throw error
        }
    }

    private func start(
        _ definition: StreamDefinition, _ buffer: Buffer, _ owner: UInt32,
        _ charge: Quotas.Charge, _ payer: UInt32
    ) throws(Refusal) {
        let signal = try source(of: definition)
        var isDone = false
        var why = "the stream can't be started"
        do throws(Errno) {
            // Its size may be changing at the moment.
            let memory = try BufferTable.patience.retry { () throws(Errno) in
                try buffers.acquire(buffer, as: .stream)
            }
            defer { if !isDone { buffers.release(buffer, as: .stream) } }
            let size = try Self.size(of: memory, for: definition)
            // A device can't fill a hole.
            do throws(Refusal) {
                try buffers.backend.populate(memory.descriptor.raw, 0..<size)
            } catch {
                why = error.why
                throw error.errno
            }
            let number = state.withLock { state in
                if let ledger { return ledger.takeStreamNumber() }
                defer { state.next += 1 }
                return state.next
            }
            let record = kept?.make(definition, buffer.id, owner: owner, payer: payer)
            if kept != nil && record == nil { throw Errno.noSpace }
            defer { if !isDone, let record { kept?.give(record) } }
            let stream = Stream(
                StreamID(number: number), definition, memory: memory, size: size, owner: owner,
                charge: charge, kept: record)
            var generator: PatternGenerator?
            if case .pattern(let rate) = definition.source {
                generator = try PatternGenerator(stream, rate: rate, by: patterns)
            }
            if let signal { try connect(stream, to: signal) }
            state.withLock { state in
                state.entries.insert(
                    Entry(stream: stream, buffer: buffer, signal: signal, generator: generator))
                state.changed = .now()
            }
            record?.begin(number)
            isDone = true
        } catch .invalidArgument {
            throw Refusal(
                .invalidArgument,
                "the period must divide the buffer into 2 periods or more, "
                    + "and the watermark be at most the buffer less one period")
        } catch {
            throw Refusal(error, why)
        }
    }

    /// The signal that drives it; nil for a pattern.
    private func source(of definition: StreamDefinition) throws(Refusal) -> Signal? {
        guard case .signal(let name) = definition.source else { return nil }
        guard let signal = signals.find(name) else {
            throw Refusal(.noSuchFileOrDirectory, "no signal \(name)")
        }
        return signal
    }

    /// Bytes of the buffer.
    /// - Throws: EINVAL where they are not two periods or more, or less than the watermark takes.
    private static func size(
        of memory: BufferMemory, for definition: StreamDefinition
    ) throws(Errno) -> UInt64 {
        let size = try Syscalls.status(of: memory.descriptor.raw).size
        guard size.isMultiple(of: definition.period), size / definition.period >= 2 else {
            throw .invalidArgument
        }
        if let watermark = definition.watermark {
            guard (1...size - definition.period).contains(watermark) else {
                throw .invalidArgument
            }
        }
        return size
    }

    private func connect(_ stream: Stream, to signal: Signal) throws(Errno) {
        if signal.origin != nil { stream.setClock { try? signal.summary().count } }
        signal.addStream(1, of: stream.owner)
        guard signal.add(stream) else {
            signal.addStream(-1, of: stream.owner)
            throw .noSuchFileOrDirectory
        }
        // What comes from here on it is told.
        stream.pass(try signal.summary().count)
    }

    /// Goes on with the streams of the server before this one, before their sources do.
    func adopt() {
        for record in kept?.all ?? [] {
            do throws(Errno) {
                try adopt(record)
            } catch {
                // Its buffer is gone, or no memory is left: its reader gets ENODEV.
                kept?.give(record)
            }
        }
    }

    private func adopt(_ record: KeptStream) throws(Errno) {
        guard let definition = record.definition, let buffer = buffers[record.buffer],
            let charge = quotas.tryCharge(.streams, to: record.payer)
        else { throw .noSuchFileOrDirectory }
        let memory = try buffers.acquire(buffer, as: .stream)
        var isDone = false
        defer { if !isDone { buffers.release(buffer, as: .stream) } }
        let size = try Syscalls.status(of: memory.descriptor.raw).size
        guard size / definition.period >= 2 else { throw .invalidArgument }
        let stream = Stream(
            StreamID(number: record.id), definition, memory: memory, size: size,
            owner: record.owner, charge: charge, kept: record)
        var generator: PatternGenerator?
        if case .pattern(let rate) = definition.source {
            generator = try PatternGenerator(stream, rate: rate, by: patterns)
        }
        var signal: Signal?
        if case .signal(let name) = definition.source, let found = signals.find(name),
            found.add(stream)
        {
            signal = found
            found.addStream(1, of: record.owner)
            stream.makeUp(to: found.count)
        }
        state.withLock { state in
            state.names.insert(stream.name)
            state.buffers.insert(buffer.id)
            state.entries.insert(
                Entry(stream: stream, buffer: buffer, signal: signal, generator: generator))
        }
        isDone = true
        stream.resume()
    }

    func remove(_ stream: Stream) {
        let entry = state.withLock { state in
            state.changed = .now()
            return state.entries.remove(stream.id)
        }
        guard let entry else { return }
        if let record = stream.kept { kept?.give(record) }
        if let signal = entry.signal {
            signal.remove(stream)
            signal.addStream(-1, of: stream.owner)
        }
        stream.end()
        entry.generator?.stop()
        buffers.release(entry.buffer, as: .stream)
        state.withLock { state in
            state.names.remove(stream.name)
            state.buffers.remove(entry.buffer.id)
        }
    }

    /// The device was removed: the streams stay, and are ENODEV.
    func endAll() {
        for stream in all { stream.end() }
    }

    func removeAll() {
        for stream in all { remove(stream) }
    }
}
