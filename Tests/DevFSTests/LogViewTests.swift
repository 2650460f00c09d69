import SystemPackage
import Testing

@testable import DevFS

@Suite("the view of a reader of control/log", .timeLimit(.minutes(1)))
struct LogViewTests {
    private let log = CommandLog()
    private let quotas = Quotas(limits: [.text: 4 << 20])
    private let caller = Caller(pid: ProcessID(123), uid: 1000, gid: 1000)

    private func add(_ count: Int, _ width: Int = 10) {
        for _ in 0..<count {
            log.add(
                .invalid(String(repeating: "w", count: width)), command: "x".utf8, file: "f",
                by: caller)
        }
    }

    private var used: UInt64 { quotas.use.first { $0.uid == 1000 }?.used[.text] ?? 0 }

    @Test func `its bytes are the reader's, and are given back`() throws {
        do {
            let view = LogView(log, quotas.user(1000)) { (SharedText($0), false) }
            add(10)
            #expect(view.length == UInt64(log.text.utf8.count))
            #expect(used == view.length)
            _ = try view.read(at: 0, size: 1 << 20)
            _ = try view.read(at: view.length, size: 1)
            add(300)
            // Begins anew.
            _ = try view.read(at: 0, size: 1 << 20)
            #expect(used == view.length && view.length == UInt64(log.text.utf8.count))
        }
        #expect(used == 0)
    }

    @Test func `readers of the same log share its text, and pay when one goes on`() throws {
        add(10)
        let view = LogView(log, quotas.user(1000)) { (SharedText($0), true) }
        #expect(view.length == UInt64(log.text.utf8.count) && used == 0)
        add(1)
        #expect(view.length == UInt64(log.text.utf8.count) && used == view.length)
    }

    @Test func `beyond the quota a read is ENOMEM, and the size stays`() throws {
        let view = LogView(log, Quotas(limits: [.text: 100]).user(1000)) { (SharedText($0), false) }
        add(1)
        let length = view.length
        #expect(length == UInt64(log.text.utf8.count) && length < 100)
        add(1)
        #expect(view.length == length)
        #expect(throws: Errno.noMemory) { try view.read(at: length, size: 1) }
    }

    @Test func `a reader who goes on for ever keeps no more than the limit`() throws {
        let view = LogView(log, quotas.user(1000)) { (SharedText($0), false) }
        var offset: UInt64 = 0
        var seen = 0
        for _ in 0..<40 {
            add(200, 600)
            while case let part = try view.read(at: offset, size: 1 << 16), !part.isEmpty {
                offset += UInt64(part.count)
                seen += part.count { $0 == 0x0a }
            }
            #expect(offset == view.length)
        }
        #expect(seen == 40 * 200)
        #expect(offset > 2 * LogView.limit && used <= LogView.limit + 300_000)
        #expect(throws: Errno.noData) { try view.read(at: 1, size: 1) }
        #expect(try !view.read(at: offset - UInt64(LogView.limit / 4), size: 1).isEmpty)
        // At 0 he begins anew.
        #expect(try view.read(at: 0, size: 1 << 20).elementsEqual(log.text.utf8))
    }

    @Test func `a reader who does not read keeps no more than the limit`() throws {
        let view = LogView(log, quotas.user(1000)) { (SharedText($0), false) }
        for _ in 0..<40 {
            add(200, 600)
            #expect(view.length < LogView.limit + 300_000)
        }
        var offset: UInt64 = 0
        var text: [UInt8] = []
        while case let part = try view.read(at: offset, size: 1 << 16), !part.isEmpty {
            offset += UInt64(part.count)
            text += part
        }
        #expect(String(decoding: text, as: UTF8.self).contains("\n# "))
    }

    @Test func `open files of one inode share a view as long as one is open`() throws {
        let views = LogViews()
        let inode = Inode(77)
        var made = 0
        func make() -> LogView {
            made += 1
            return LogView(log, quotas.user(1000)) { (SharedText($0), false) }
        }
        #expect(views.length(of: inode) == nil)
        _ = views.enter(inode, make)
        _ = views.enter(inode, make)
        views.leave(inode)
        add(1)
        #expect(made == 1 && views.length(of: inode) == UInt64(log.text.utf8.count))
        views.leave(inode)
        #expect(views.length(of: inode) == nil && used == 0)
    }
}
