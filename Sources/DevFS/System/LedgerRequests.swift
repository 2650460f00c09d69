import CFuse
import Synchronization
import SystemPackage

/// Requests whose effect must not come twice, from before it until they were answered: the kernel
/// sends one again that was not.
final class LedgerRequests: Sendable {
    /// Words of a record; bytes are behind.
    private enum Word {
        /// The request's number; 0 is a free record.
        static let unique = 0
        /// Commands of it that were carried out.
        static let done = 1
        /// The command that was begun, from 1 on.
        static let begun = 2
        /// Numbers of what it is about.
        static let subject = 3
        static let other = 4
        /// The open file whose state tells whether the answer is true, from 1 on, and from which of
        /// its states on.
        static let handle = 5
        static let version = 6
        /// The answer is there, and bytes of it.
        static let isAnswered = 7
        static let length = 8
        /// The number of the server that had to do with it last, and when, CLOCK_MONOTONIC in ns.
        static let life = 9
        static let time = 10
        static let bytes = 88
    }
    /// Bytes that an answer can have.
    static let room = 256 - Word.bytes

    private struct State {
        var numbers: [UInt64: Int] = [:]
        var free: [Int] = []
        var next = 0
    }

    /// Servers and nanoseconds after which a request that none was sent again is over: its reply went
    /// out in the moment in which a server died. One that dies early has not seen what is sent again.
    private static let patience: (servers: UInt64, time: UInt64) = (8, 120_000_000_000)

    private let table: LedgerTable
    private let life: UInt64
    /// Records that were ever used: to look at another one gives it memory.
    private let used: LedgerRecord.Counter
    private let state = Mutex(State())

    init(_ table: LedgerTable, _ used: LedgerRecord.Counter, life: UInt64) {
        self.table = table
        self.used = used
        self.life = life
        state.withLock { state in
            for index in 0..<min(used.value, table.count) {
                let unique = table[index][Word.unique]
                if unique != 0, !isOver(table[index]) {
                    state.numbers[unique] = index
                } else {
                    if unique != 0 { table[index][Word.unique] = 0 }
                    state.free.append(index)
                }
            }
            state.free.reverse()
            state.next = min(used.value, table.count)
        }
    }

    private func isOver(_ record: LedgerRecord) -> Bool {
        record[Word.life] + Self.patience.servers < life
            && Clock.monotonic > record[Word.time].addingClamped(Self.patience.time)
    }

    private func touch(_ record: LedgerRecord) {
        record[Word.time] = Clock.monotonic
        record[Word.life] = life
    }

    /// Of answers that were prepared: those whose open file never got so far were not given.
    func settle(by handles: LedgerHandles) {
        for index in state.withLock({ Array($0.numbers.values) }) {
            let record = table[index]
            guard record[Word.handle] > 0, let handle = Int(exactly: record[Word.handle] - 1)
            else { continue }
            if handles.version(of: handle) < record[Word.version] { record[Word.isAnswered] = 0 }
            record[Word.handle] = 0
        }
    }

    /// The record of a request that an earlier server had begun.
    private func find(_ unique: UInt64) -> LedgerRecord? {
        state.withLock { $0.numbers[unique] }.map { table[$0] }
    }

    /// The record of a request, made where there is none; nil where there is no room.
    private func record(of unique: UInt64) -> LedgerRecord? {
        let (index, isNew): (Int?, Bool) = state.withLock { state in
            if let index = state.numbers[unique] { return (index, false) }
            var index = state.free.popLast()
            if index == nil && state.next < table.count {
                index = state.next
                state.next += 1
                used.value = state.next
            }
            if let index { state.numbers[unique] = index }
            return (index, true)
        }
        guard let index else { return nil }
        let record = table[index]
        if isNew {
            record.clear(words: 1..<Word.bytes / 8)
            touch(record)
            record[Word.unique] = unique
        }
        return record
    }

    /// The kernel has sent it again.
    func touch(_ unique: UInt64) {
        if let record = find(unique) { touch(record) }
    }

    /// It was answered.
    func end(_ unique: UInt64) {
        let index = state.withLock { $0.numbers.removeValue(forKey: unique) }
        guard let index else { return }
        table[index][Word.unique] = 0
        state.withLock { $0.free.append(index) }
    }

    /// Requests that were begun.
    var count: Int { state.withLock { $0.numbers.count } }

    // MARK: One request

    func done(_ unique: UInt64) -> Int { find(unique).map { Int(clamping: $0[Word.done]) } ?? 0 }

    func setDone(_ count: Int, of unique: UInt64) {
        guard let record = record(of: unique) else { return }
        record[Word.done] = max(record[Word.done], UInt64(count))
    }

    func begun(_ unique: UInt64) -> Int { find(unique).map { Int(clamping: $0[Word.begun]) } ?? 0 }

    func setBegun(_ number: Int, of unique: UInt64) {
        record(of: unique)?[Word.begun] = UInt64(number)
    }

    /// What a request that was begun is about.
    func subjects(of unique: UInt64) -> (UInt64, UInt64)? {
        find(unique).map { ($0[Word.subject], $0[Word.other]) }
    }

    func setSubjects(_ subject: UInt64, _ other: UInt64 = 0, of unique: UInt64) {
        guard let record = record(of: unique) else { return }
        record[Word.other] = other
        record[Word.subject] = subject
    }

    /// Before an open file gets its state `version`, with which the answer becomes true.
    func prepare(_ bytes: [UInt8], of unique: UInt64, handle: Int, version: UInt64) {
        guard bytes.count <= Self.room, let record = record(of: unique) else { return }
        record.setBytes(bytes, at: Word.bytes)
        record[Word.length] = UInt64(bytes.count)
        record[Word.version] = version
        record[Word.handle] = UInt64(handle + 1)
        record[Word.isAnswered] = 1
    }

    /// What was prepared to be answered, by an earlier server.
    func answer(of unique: UInt64) -> [UInt8]? {
        guard let record = find(unique), record[Word.isAnswered] == 1 else { return nil }
        let length = min(Int(clamping: record[Word.length]), Self.room)
        return record.bytes(at: Word.bytes, count: length)
    }
}

/// What a thread does for a request of a kept mount.
final class Undertaking: Sendable {
    /// The request's number.
    let unique: UInt64
    private let requests: LedgerRequests
    /// An earlier server had begun it.
    let isResent: Bool
    /// The command that it had begun, and whether it had given an answer.
    private let wasBegun: Int
    private let ending = Mutex<(@Sendable () -> Void)?>(nil)

    /// Of the request that this thread has read last.
    init(in ledger: Ledger) {
        var isResent = false
        unique = unsafe cfuse_request(&isResent)
        requests = ledger.requests
        self.isResent = isResent
        if isResent { requests.touch(unique) }
        wasBegun = isResent ? requests.begun(unique) : 0
    }

    /// What the present thread does; nil where nothing outlives the server.
    static var current: Undertaking? {
        unsafe cfuse_undertaking().map {
            unsafe Unmanaged<Undertaking>.fromOpaque($0).takeUnretainedValue()
        }
    }

    static func during<T, Failure: Error>(
        _ undertaking: Undertaking?, _ body: () throws(Failure) -> T
    ) throws(Failure) -> T {
        guard let undertaking else { return try body() }
        let outer = unsafe cfuse_undertaking()
        unsafe cfuse_undertake(Unmanaged.passUnretained(undertaking).toOpaque())
        defer {
            unsafe cfuse_undertake(outer)
            withExtendedLifetime(undertaking) {}
        }
        return try body()
    }

    /// Its commands that were carried out.
    var done: Int { requests.done(unique) }
    /// The one that is being carried out is known to the ledger.
    func begin(_ number: Int) { requests.setBegun(number + 1, of: unique) }
    func finish(_ number: Int) { requests.setDone(number + 1, of: unique) }

    /// An earlier server was at that command when it died: it may have been carried out.
    func mayBeDone(_ number: Int) -> Bool { wasBegun == number + 1 }

    /// What it is about, where an earlier server had begun it.
    var subjects: (UInt64, UInt64)? { isResent ? requests.subjects(of: unique) : nil }
    func setSubjects(_ subject: UInt64, _ other: UInt64 = 0) {
        requests.setSubjects(subject, other, of: unique)
    }

    /// What an earlier server would have answered.
    var answer: [UInt8]? { isResent ? requests.answer(of: unique) : nil }

    /// It was answered, or will be by somebody else.
    func end() {
        requests.end(unique)
        ending.withLock { $0.take() }?()
    }

    /// Does something once it was answered.
    func whenEnded(_ action: @escaping @Sendable () -> Void) { ending.withLock { $0 = action } }
}
