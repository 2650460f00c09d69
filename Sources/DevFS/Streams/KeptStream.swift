import Synchronization
import SystemPackage

/// The streams of a kept mount in its ledger.
final class LedgerStreams: Sendable {
    private let table: LedgerTable
    private let places: LedgerPlaces

    init(_ ledger: Ledger) {
        table = ledger.streams
        places = ledger.streamPlaces
    }

    /// Nil where there is no room.
    func make(
        _ definition: StreamDefinition, _ buffer: BufferID, owner: UInt32, payer: UInt32
    ) -> KeptStream? {
        guard let index = places.take() else { return nil }
        let kept = KeptStream(index: index, record: table[index])
        kept.write(definition, buffer, owner: owner, payer: payer)
        return kept
    }

    func give(_ stream: KeptStream) {
        stream.record[KeptStream.Word.id] = 0
        places.give(stream.index)
    }

    /// Those of the servers before.
    var all: [KeptStream] {
        places.range.filter { table[$0][KeptStream.Word.id] != 0 }
            .map { KeptStream(index: $0, record: table[$0]) }
    }
}

/// A stream in the ledger: what it is, and how far it is.
struct KeptStream: Sendable {
    fileprivate enum Word {
        /// 0 is a free record.
        static let id = 0
        static let owner = 1
        static let buffer = 2
        static let period = 3
        /// Words a second; 0 where a signal is the source.
        static let rate = 4
        static let isStopping = 5
        static let version = 6
    }

    /// Bytes: texts, and two states in turn.
    private static let (name, bufferName, signal) = (128, 208, 288)
    private static let states = 512
    private static let state = 128

    fileprivate let index: Int
    fileprivate let record: LedgerRecord

    struct State: Sendable {
        var produced: UInt64 = 0
        var consumed: UInt64 = 0
        var overruns: UInt64 = 0
        var status: UInt64 = 0
        var watermark: UInt64 = 0
        var seen: UInt64 = 0
        /// One more; 0 is none.
        var opened: UInt64 = 0
        var epoch: UInt64 = 0
        var counter: UInt64 = 0
        var told: UInt64 = 0
        var beyond: UInt64 = 0
        var held: Range<UInt64>?
        var release: (request: UInt64, wasTorn: Bool) = (0, false)
    }

    fileprivate func write(
        _ definition: StreamDefinition, _ buffer: BufferID, owner: UInt32, payer: UInt32
    ) {
        record.clear(words: 0..<Word.version + 1)
        record[Word.owner] = UInt64(owner) | UInt64(payer) << 32
        record[Word.buffer] = buffer.number
        record[Word.period] = definition.period
        record[Word.isStopping] = definition.policy == .stop ? 1 : 0
        record.setText(definition.name.text, at: Self.name)
        record.setText(definition.buffer.text, at: Self.bufferName)
        switch definition.source {
        case .pattern(let rate): record[Word.rate] = rate
        case .signal(let name): record.setText(name.text, at: Self.signal)
        }
    }

    /// From here on the next server knows it.
    func begin(_ id: UInt64) { record[Word.id] = id }

    var id: UInt64 { record[Word.id] }
    var owner: UInt32 { UInt32(truncatingIfNeeded: record[Word.owner]) }
    var payer: UInt32 { UInt32(truncatingIfNeeded: record[Word.owner] >> 32) }
    var buffer: BufferID { BufferID(record[Word.buffer]) }

    var definition: StreamDefinition? {
        guard let name = Name(record.text(at: Self.name)),
            let buffer = Name(record.text(at: Self.bufferName))
        else { return nil }
        var source: StreamSource?
        if record[Word.rate] > 0 {
            source = .pattern(rate: record[Word.rate])
        } else {
            source = Name(record.text(at: Self.signal)).map { .signal($0) }
        }
        guard let source else { return nil }
        var definition = StreamDefinition(
            name: name, buffer: buffer, period: record[Word.period], source: source)
        definition.policy = record[Word.isStopping] == 1 ? .stop : .overwrite
        return definition
    }

    private func part(_ version: UInt64) -> LedgerRecord {
        record.turn(of: version, at: Self.states, size: Self.state)
    }

    var state: State {
        let part = part(record[Word.version])
        return State(
            produced: part[0], consumed: part[1], overruns: part[2], status: part[3],
            watermark: part[4], seen: part[5], opened: part[6], epoch: part[7],
            counter: part[8], told: part[9], beyond: part[10],
            // The end is one more; 0 is none.
            held: part[12] > part[11] ? part[11]..<part[12] - 1 : nil,
            release: (part[13], part[14] == 1))
    }

    func set(_ state: State) {
        let version = record[Word.version] + 1
        let part = part(version)
        part[0] = state.produced
        part[1] = state.consumed
        part[2] = state.overruns
        part[3] = state.status
        part[4] = state.watermark
        part[5] = state.seen
        part[6] = state.opened
        part[7] = state.epoch
        part[8] = state.counter
        part[9] = state.told
        part[10] = state.beyond
        part[11] = state.held?.lowerBound ?? 0
        part[12] = state.held.map { $0.upperBound + 1 } ?? 0
        part[13] = state.release.request
        part[14] = state.release.wasTorn ? 1 : 0
        record[Word.version] = version
    }
}
