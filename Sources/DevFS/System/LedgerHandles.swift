import Synchronization
import SystemPackage

/// The open files of a kept mount: numbers that each server knows what they are.
final class LedgerHandles: Sendable {
    private struct State {
        var free: [Int] = []
        var next = 0
    }

    private let records: LedgerTable
    private let lines: LedgerTable
    private let state = Mutex(State())

    init(records: LedgerTable, lines: LedgerTable) {
        self.records = records
        self.lines = lines
    }

    /// Tells a number of the ledger from an address.
    static let mark: UInt64 = 1 << 63

    /// The place of a number.
    static func index(_ number: UInt64) -> Int { Int(number & 0xffff_ffff) }

    /// Room for one more; nil where there is none.
    func make(in requests: LedgerRequests) -> KeptHandle? {
        let index: Int? = state.withLock { state in
            if let index = state.free.popLast() { return index }
            guard state.next < records.count else { return nil }
            state.next += 1
            return state.next - 1
        }
        guard let index else { return nil }
        let record = records[index]
        let turn = (record[KeptHandle.Word.turn] + 1) & 0x3fff_ffff
        record.clear(words: 1..<KeptHandle.states / 8)
        record[KeptHandle.Word.turn] = turn
        return KeptHandle(
            index: index, number: Self.mark | turn << 32 | UInt64(index), record: record,
            lines: lines[index], requests: requests)
    }

    func give(_ handle: KeptHandle) {
        handle.record[KeptHandle.Word.number] = 0
        state.withLock { $0.free.append(handle.index) }
    }

    /// Those that an earlier server had.
    func adopt(in requests: LedgerRequests) -> [KeptHandle] {
        var found: [KeptHandle] = []
        // The lowest are taken first: behind one that never was there are none.
        var index = 0
        while index < records.count, records[index][KeptHandle.Word.turn] > 0 {
            let record = records[index]
            let number = record[KeptHandle.Word.number]
            if number == 0 {
                state.withLock { $0.free.append(index) }
            } else {
                found.append(
                    KeptHandle(
                        index: index, number: number, record: record, lines: lines[index],
                        requests: requests))
            }
            index += 1
        }
        state.withLock { $0.next = index }
        return found
    }

    /// The newest state of an open file; 0 where there is no such file.
    func version(of index: Int) -> UInt64 {
        guard index < records.count, records[index][KeptHandle.Word.number] != 0 else { return 0 }
        return records[index][KeptHandle.Word.version]
    }

    /// Inodes that an earlier server had open.
    var inodes: [Inode] {
        var found: [Inode] = []
        var index = 0
        while index < records.count, records[index][KeptHandle.Word.turn] > 0 {
            if records[index][KeptHandle.Word.number] != 0 {
                found.append(Inode(records[index][KeptHandle.Word.inode]))
            }
            index += 1
        }
        return found
    }
}

/// An open file in the ledger.
struct KeptHandle: Sendable {
    fileprivate enum Word {
        /// 0 is a free record: stored last.
        static let number = 0
        static let turn = 1
        static let isDirectory = 2
        static let inode = 3
        static let flags = 4
        static let user = 5
        static let thread = 6
        /// The request that opened it, and whether it was answered.
        static let openedBy = 7
        static let isAnswered = 8
        static let poll = 9
        static let process = 10
        static let start = 11
        static let namespace = 12
        static let groups = 13
        static let version = 14
    }

    /// Bytes of the record: the pid namespace's name, supplementary groups, and two states in turn.
    private static let link = 128
    private static let groups = 200
    fileprivate static let states = 456
    private static let state = 128
    /// Groups that have room; who has more is none of theirs later, which gives him less.
    private static let mostGroups = 64
    /// Bytes of a state that are a text's.
    private static let textRoom = state - 40

    let index: Int
    let number: UInt64
    fileprivate let record: LedgerRecord
    fileprivate let lines: LedgerRecord
    fileprivate let requests: LedgerRequests

    // MARK: Who opened what

    struct Opening: Sendable {
        var inode: Inode
        var flags: Int32
        var isDirectory: Bool
        var opener: Opener
        /// The request that asked for it.
        var request: UInt64
    }

    /// From here on it is known to the next server: the last thing to be done before the answer.
    func open(_ opening: Opening) {
        record[Word.inode] = opening.inode.number
        record[Word.flags] = UInt64(UInt32(bitPattern: opening.flags))
        record[Word.isDirectory] = opening.isDirectory ? 1 : 0
        record[Word.openedBy] = opening.request
        record[Word.isAnswered] = 0
        write(opening.opener)
        record[Word.number] = number
    }

    var opening: Opening {
        Opening(
            inode: Inode(record[Word.inode]),
            flags: Int32(truncatingIfNeeded: record[Word.flags]),
            isDirectory: record[Word.isDirectory] == 1, opener: opener,
            request: record[Word.openedBy])
    }

    var isAnswered: Bool { record[Word.isAnswered] == 1 }
    func answered() { record[Word.isAnswered] = 1 }

    /// By which the kernel knows who polls it; 0 is nobody.
    var poll: UInt64 {
        get { record[Word.poll] }
        nonmutating set { record[Word.poll] = newValue }
    }

    private func write(_ opener: Opener) {
        let caller = opener.caller
        record[Word.user] = UInt64(caller.uid) | UInt64(caller.gid) << 32
        record[Word.thread] = UInt64(UInt32(bitPattern: caller.pid.number))
        record[Word.process] = UInt64(UInt32(bitPattern: opener.pid.number))
        record[Word.start] = opener.process?.start ?? 0
        record.setText("", at: Self.link)
        switch opener.process?.namespace {
        case nil: record[Word.namespace] = 0
        case .own?: record[Word.namespace] = 1
        case .other(let link)? where link.utf8.count <= 64:
            record.setText(link, at: Self.link)
            record[Word.namespace] = 2
        default: record[Word.namespace] = 3
        }
        let groups = opener.groups.count <= Self.mostGroups ? opener.groups : []
        for (place, group) in groups.enumerated() {
            let word = record.part(at: Self.groups + place / 2 * 8)
            let other = place % 2 == 0 ? 0 : word[0] & 0xffff_ffff
            word[0] = other | UInt64(group) << (place % 2 == 0 ? 0 : 32)
        }
        record[Word.groups] = UInt64(groups.count)
    }

    private var opener: Opener {
        let user = record[Word.user]
        let caller = Caller(
            pid: ProcessID(Int32(truncatingIfNeeded: record[Word.thread])),
            uid: UInt32(truncatingIfNeeded: user), gid: UInt32(truncatingIfNeeded: user >> 32))
        let groups = (0..<min(Int(clamping: record[Word.groups]), Self.mostGroups)).map { place in
            let word = record.part(at: Self.groups + place / 2 * 8)[0]
            return UInt32(truncatingIfNeeded: word >> (place % 2 == 0 ? 0 : 32))
        }
        let pid = ProcessID(Int32(truncatingIfNeeded: record[Word.process]))
        let namespace: ProcessNamespace? =
            switch record[Word.namespace] {
            case 0: nil
            case 1: .own
            case 2: .other(link: record.text(at: Self.link))
            default: .unknown
            }
        return Opener(
            kept: caller, groups: groups, pid: pid,
            process: namespace.map {
                Opener.Process(id: pid, start: record[Word.start], namespace: $0)
            })
    }

    // MARK: How far it was read, and what was written to it in part

    /// A position, a number beside it, and a text that is left.
    struct Progress: Equatable, Sendable {
        var position: UInt64 = 0
        var count: UInt64 = 0
        var rest: [UInt8] = []
    }

    var version: UInt64 { record[Word.version] }

    private func state(_ version: UInt64) -> LedgerRecord {
        record.turn(of: version, at: Self.states, size: Self.state)
    }

    private func line(_ version: UInt64) -> LedgerRecord {
        lines.turn(of: version, at: 0, size: 4096)
    }

    var progress: Progress {
        let version = version
        let state = state(version)
        let length = min(Int(clamping: state[2]), 4096)
        let rest =
            length <= Self.textRoom
            ? state.bytes(at: 24, count: length) : line(version).bytes(at: 0, count: length)
        return Progress(position: state[0], count: state[1], rest: rest)
    }

    /// In one step with what a request is to be answered: both are true, or neither.
    func set(_ progress: Progress, answering request: UInt64, with answer: [UInt8]) {
        let version = version + 1
        if request != 0 {
            requests.prepare(answer, of: request, handle: index, version: version)
        }
        let state = state(version)
        state[0] = progress.position
        state[1] = progress.count
        let rest = progress.rest.prefix(4096)
        state[2] = UInt64(rest.count)
        if rest.count <= Self.textRoom {
            state.setBytes(Array(rest), at: 24)
        } else {
            line(version).setBytes(Array(rest), at: 0)
        }
        record[Word.version] = version
    }
}
