import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// What one server notes is what the next one finds, whatever moment the first one ended at.
@Suite struct LedgerTests {
    private let file: SharedDescriptor
    private let first: Ledger

    init() throws {
        file = SharedDescriptor(try Ledger.makeFile())
        first = try Ledger(file.raw, isAdopted: false)
    }

    private func next() throws -> Ledger { try Ledger(file.raw, isAdopted: true) }

    private func opening(_ inode: UInt64, groups: [UInt32] = []) -> KeptHandle.Opening {
        KeptHandle.Opening(
            inode: Inode(inode), flags: O_WRONLY, isDirectory: false,
            opener: Opener(
                kept: Caller(pid: ProcessID(7), uid: 1000, gid: 100), groups: groups,
                pid: ProcessID(6),
                process: .init(id: ProcessID(6), start: 99, namespace: .other(link: "pid:[5]"))),
            request: 12)
    }

    @Test func `a file that is no ledger, or another version's, is refused`() throws {
        let other = SharedDescriptor(try Ledger.makeFile())
        #expect(throws: Errno.invalidArgument) { _ = try Ledger(other.raw, isAdopted: true) }
        let short = SharedDescriptor(
            try Syscalls.open("/proc/self/status", flags: O_RDONLY))
        #expect(throws: Errno.invalidArgument) { _ = try Ledger(short.raw, isAdopted: true) }
        #expect(try next().lives == 2)
    }

    @Test func `an open file has its opener's rights in the next server`() throws {
        let kept = try #require(first.handles.make(in: first.requests))
        kept.open(opening(64, groups: [4, 24, 4_000_000_000]))
        let after = try next()
        let found = after.handles.adopt(in: after.requests)
        #expect(found.map(\.number) == [kept.number])
        let opener = try #require(found.first).opening.opener
        #expect(opener.caller == Caller(pid: ProcessID(7), uid: 1000, gid: 100))
        #expect(opener.groups == [4, 24, 4_000_000_000])
        #expect(opener.process?.start == 99)
        #expect(opener.process?.namespace == .other(link: "pid:[5]"))
        #expect(try #require(found.first).isAnswered == false)
    }

    @Test func `who has more groups than there is room for has none of them`() throws {
        let kept = try #require(first.handles.make(in: first.requests))
        kept.open(opening(64, groups: Array(1...65)))
        let after = try next()
        #expect(after.handles.adopt(in: after.requests).first?.opening.opener.groups == [])
    }

    @Test func `a number is not given to a later file`() throws {
        let kept = try #require(first.handles.make(in: first.requests))
        kept.open(opening(64))
        first.handles.give(kept)
        let later = try #require(first.handles.make(in: first.requests))
        #expect(later.index == kept.index)
        #expect(later.number != kept.number)
    }

    @Test func `an answer counts only with the state that makes it true`() throws {
        let kept = try #require(first.handles.make(in: first.requests))
        kept.open(opening(64))
        kept.set(.init(position: 5, rest: [1, 2]), answering: 40, with: [9])
        // As if the server had died before it came to the state.
        first.requests.prepare([8], of: 41, handle: kept.index, version: kept.version + 1)
        let after = try next()
        #expect(after.requests.answer(of: 40) == [9])
        #expect(after.requests.answer(of: 41) == nil)
        let found = try #require(after.handles.adopt(in: after.requests).first)
        #expect(found.progress == .init(position: 5, rest: [1, 2]))
        found.set(.init(position: 6), answering: 0, with: [])
        #expect(after.requests.answer(of: 41) == nil)
    }

    @Test func `a long rest of a line is kept whole`() throws {
        let kept = try #require(first.handles.make(in: first.requests))
        kept.open(opening(64))
        for length in [0, 88, 89, 4096] {
            let rest = (0..<length).map { UInt8(truncatingIfNeeded: $0) }
            kept.set(.init(position: 1, rest: rest), answering: 0, with: [])
            #expect(kept.progress.rest == rest)
        }
    }

    @Test func `a request is known until it was answered`() throws {
        first.requests.setBegun(3, of: 7)
        first.requests.setDone(2, of: 7)
        first.requests.setSubjects(100, 200, of: 8)
        let after = try next()
        #expect(after.requests.begun(7) == 3)
        #expect(after.requests.done(7) == 2)
        #expect(after.requests.subjects(of: 8).map { [$0.0, $0.1] } == [100, 200])
        after.requests.end(7)
        after.requests.end(8)
        #expect(try next().requests.count == 0)
    }

    @Test func `a passthrough registration that was not noted is closed`() throws {
        let backing = LedgerBacking(first)
        backing.add(1, of: Inode(64))
        backing.add(2, of: Inode(128))
        backing.close(Inode(128))
        let (used, closing) = LedgerBacking(try next()).adopt()
        #expect(used == [Inode(64): 1])
        #expect(closing == [3, 2])
    }

    @Test func `a signal has its count, its times and whom it notifies`() throws {
        let name = try #require(Name("go"))
        let kept = try #require(LedgerSignals(first).make(name, period: 50, owner: 3, payer: 4))
        let signal = Signal(SignalID(number: 9), name, .timer(period: 50), kept: kept)
        kept.set(KeptSignal.State())
        kept.begin(9)
        signal.post(3, at: 1000, missed: 2, later: 150)
        kept.set([
            .init(process: ProcessID(5), start: 6, signal: 34, value: -1, registrant: 7)
        ])
        let found = try #require(LedgerSignals(try next()).all.first)
        #expect(found.state.count == 3 && found.state.missed == 2 && found.state.due == 150)
        #expect(found.time(of: 3) == 1000)
        #expect(found.registrations.map(\.value) == [-1])
        let after = Signal(SignalID(number: 9), name, .timer(period: 50), kept: found)
        #expect(try after.event(after: 1)?.time == 1000)
    }
}
