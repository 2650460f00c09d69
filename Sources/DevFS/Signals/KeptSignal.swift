import Synchronization
import SystemPackage

/// The signals of a kept mount in its ledger.
final class LedgerSignals: Sendable {
    private let ledger: Ledger
    private let table: LedgerTable
    private let places: LedgerPlaces
    private let numbering = Mutex(())

    init(_ ledger: Ledger) {
        self.ledger = ledger
        table = ledger.signals
        places = ledger.signalPlaces
    }

    /// Nil where there is no room.
    func make(
        _ name: Name, period: UInt64?, owner: UInt32, payer: UInt32
    ) -> KeptSignal? {
        guard let index = places.take() else { return nil }
        let record = table[index]
        record.clear(words: 0..<KeptSignal.end / 8)
        record[KeptSignal.Word.period] = period ?? 0
        record[KeptSignal.Word.owner] = UInt64(owner) | UInt64(payer) << 32
        record.setText(name.text, at: KeptSignal.name)
        return KeptSignal(index: index, record: record)
    }

    func give(_ signal: KeptSignal) {
        signal.record[KeptSignal.Word.id] = 0
        places.give(signal.index)
    }

    /// Those of the servers before.
    var all: [KeptSignal] {
        places.range.filter { table[$0][KeptSignal.Word.id] != 0 }
            .map { KeptSignal(index: $0, record: table[$0]) }
    }

    /// The number of the next signal: none is given twice.
    func number() -> UInt64 {
        numbering.withLock { _ in
            defer { ledger.nextSignal += 1 }
            return ledger.nextSignal
        }
    }
}

/// A signal in the ledger: stored before anybody is told of an event.
struct KeptSignal: Sendable {
    fileprivate enum Word {
        /// 0 is a free record.
        static let id = 0
        /// 0 is a software source.
        static let period = 1
        static let owner = 2
        static let version = 3
    }

    fileprivate static let name = 64
    private static let states = 256
    private static let state = 64
    fileprivate static let end = 512
    private static let registrations = (at: 1024, size: 48, count: 64)
    private static let times = 4096
    /// Twice what readers can have: what is stored of a batch harms none of those before it.
    private static let depth = 2 * Signal.depth

    fileprivate let index: Int
    fileprivate let record: LedgerRecord

    struct State: Equatable, Sendable {
        var count: UInt64 = 0
        var missed: UInt64 = 0
        var isEnabled = true
        /// When the timer ends next, CLOCK_MONOTONIC in ns.
        var due: UInt64 = 0
        /// The request and its command that made the newest events.
        var request: UInt64 = 0
        var command: UInt64 = 0
    }

    /// From here on the next server knows it.
    func begin(_ id: UInt64) { record[Word.id] = id }

    var id: UInt64 { record[Word.id] }
    var name: Name? { Name(record.text(at: Self.name)) }
    var period: UInt64? { record[Word.period] == 0 ? nil : record[Word.period] }
    var owner: UInt32 { UInt32(truncatingIfNeeded: record[Word.owner]) }
    var payer: UInt32 { UInt32(truncatingIfNeeded: record[Word.owner] >> 32) }

    private func part(_ version: UInt64) -> LedgerRecord {
        record.turn(of: version, at: Self.states, size: Self.state)
    }

    var state: State {
        let part = part(record[Word.version])
        return State(
            count: part[0], missed: part[1], isEnabled: part[2] == 0, due: part[3],
            request: part[4], command: part[5])
    }

    func set(_ state: State) {
        let version = record[Word.version] + 1
        let part = part(version)
        part[0] = state.count
        part[1] = state.missed
        part[2] = state.isEnabled ? 0 : 1
        part[3] = state.due
        part[4] = state.request
        part[5] = state.command
        record[Word.version] = version
    }

    /// Before the state that counts the event.
    func set(_ time: UInt64, of number: UInt64) {
        record.part(at: Self.times)[Int((number - 1) % Self.depth)] = time
    }

    func time(of number: UInt64) -> UInt64 {
        record.part(at: Self.times)[Int((number - 1) % Self.depth)]
    }

    // MARK: Processes that it notifies

    struct Registration: Sendable {
        var process: ProcessID
        /// When it started: its number may be another's by now.
        var start: UInt64
        var signal: Int32
        var value: Int32?
        var registrant: UInt32
    }

    var registrations: [Registration] {
        (0..<Self.registrations.count).compactMap { index in
            let part = registration(index)
            guard part[0] != 0 else { return nil }
            return Registration(
                process: ProcessID(Int32(truncatingIfNeeded: part[1])), start: part[2],
                signal: Int32(truncatingIfNeeded: part[3] & 0xffff),
                value: part[3] >> 32 == 0 ? nil : Int32(truncatingIfNeeded: part[4]),
                registrant: UInt32(truncatingIfNeeded: part[5]))
        }
    }

    private func registration(_ index: Int) -> LedgerRecord {
        record.part(at: Self.registrations.at + index * Self.registrations.size)
    }

    /// The new ones first, so that none that stays is missing at any time.
    /// - Returns: false where there is no room for all.
    @discardableResult
    func set(_ all: [Registration]) -> Bool {
        let isWhole = all.count <= Self.registrations.count
        for (index, each) in all.prefix(Self.registrations.count).enumerated() {
            let part = registration(index)
            part[0] = 0
            part[1] = UInt64(UInt32(bitPattern: each.process.number))
            part[2] = each.start
            part[3] = UInt64(UInt32(bitPattern: each.signal)) | (each.value == nil ? 0 : 1 << 32)
            part[4] = UInt64(UInt32(bitPattern: each.value ?? 0))
            part[5] = UInt64(each.registrant)
            part[0] = 1
        }
        for index in min(all.count, Self.registrations.count)..<Self.registrations.count {
            registration(index)[0] = 0
        }
        return isWhole
    }
}
