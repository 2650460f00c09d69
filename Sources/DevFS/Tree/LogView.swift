import Synchronization
import SystemPackage

/// What one reader of `control/log` sees: the log as it was when he opened it, and all that has come
/// since.
///
/// tail(1) seeks to the end and then follows st_size. So what a reader has been shown stays where it
/// is and the size only grows, while the log itself drops its oldest lines.
final class LogView: Sendable {
    /// Bytes that are kept. What was read goes first.
    static let limit = 1 << 20

    private struct State {
        var bytes: [UInt8] = []
        /// The text of other readers that they are.
        var shared: SharedText?
        /// How many of them are paid for: those that readers share are not, until one goes on.
        var charged: UInt64 = 0
        /// Offset of the first of `bytes`.
        var base: UInt64 = 0
        /// Number of the newest line in it.
        var last: UInt64 = 0
        /// Where the furthest read ended.
        var wasRead: UInt64 = 0
        /// A reader has met the end: when he reads at 0 again, he wants the log of today.
        var metEnd = false

        var end: UInt64 { base + UInt64(bytes.count) }

        /// Drops the older half of what was read; how many bytes.
        mutating func makeRoom() -> UInt64 {
            let count = min(bytes.count / 2, Int(clamping: max(wasRead, base) - base))
            bytes.removeFirst(count)
            base += UInt64(count)
            let paid = min(charged, UInt64(count))
            charged -= paid
            return paid
        }
    }

    private let log: CommandLog
    /// Who pays for the bytes.
    private let user: Quotas.User
    private let share: Share
    private let state = Mutex(State())

    /// Gives the same text, and whether somebody else has it already.
    typealias Share = @Sendable ([UInt8]) -> (text: SharedText, isShared: Bool)

    init(_ log: CommandLog, _ user: Quotas.User, share: @escaping Share) {
        self.log = log
        self.share = share
        self.user = user
    }

    deinit {
        user.give(.text, state.withLock { $0.charged })
    }

    /// Takes what has come since.
    /// - Throws: ENOMEM beyond the quota.
    private func update(_ state: inout State) throws(Errno) {
        if state.bytes.count >= Self.limit {
            user.give(.text, state.makeRoom())
            // A reader who does not read: the log is as long as he likes.
            guard state.bytes.count < Self.limit else { return }
        }
        let (news, last, lost) = log.lines(after: state.last)
        guard last > state.last else { return }
        if state.last == 0 {
            let (text, isShared) = share(news)
            if !isShared { try charge(UInt64(text.bytes.count), &state) }
            state.bytes = text.bytes
            state.shared = text
        } else {
            let note = lost > 0 ? "# \(lost) lines lost\n" : ""
            let unpaid = UInt64(state.bytes.count) - state.charged
            try charge(unpaid + UInt64(note.utf8.count + news.count), &state)
            state.shared = nil
            state.bytes += note.utf8
            state.bytes += news
        }
        state.last = last
    }

    private func charge(_ count: UInt64, _ state: inout State) throws(Errno) {
        guard user.take(.text, count) else { throw Quotas.Resource.text.errno }
        state.charged += count
    }

    /// Bytes up to the end as it is now, which is `st_size`.
    var length: UInt64 {
        state.withLock { state in
            try? update(&state)
            return state.end
        }
    }

    /// - Throws: ENODATA for what was read and is not kept any more; ENOMEM.
    func read(at offset: UInt64, size: Int) throws(Errno) -> ArraySlice<UInt8> {
        try state.withLock { (state) throws(Errno) in
            if offset == 0, state.metEnd || state.base > 0 {
                user.give(.text, state.charged)
                state = State()
            }
            try update(&state)
            guard offset >= state.base else { throw .noData }
            guard offset < state.end else {
                state.metEnd = true
                return []
            }
            let found = state.bytes[Int(offset - state.base)...].prefix(size)
            state.wasRead = max(state.wasRead, offset + UInt64(found.count))
            return found
        }
    }
}

/// The views of the open files, by the inode that the kernel has for them: fstat(2) names the inode
/// and not the open file.
final class LogViews: Sendable {
    private let views = Mutex<[Inode: (view: LogView, files: Int)]>([:])

    func enter(_ inode: Inode, _ make: () -> LogView) -> LogView {
        views.withLock { views in
            let view = views[inode]?.view ?? make()
            views[inode, default: (view, 0)].files += 1
            return view
        }
    }

    func leave(_ inode: Inode) {
        // Dropped outside of the lock.
        _ = views.withLock { views -> LogView? in
            guard let entry = views[inode] else { return nil }
            views[inode] = entry.files > 1 ? (entry.view, entry.files - 1) : nil
            return entry.view
        }
    }

    func length(of inode: Inode) -> UInt64? {
        views.withLock { $0[inode]?.view }?.length
    }
}

/// The open `control/log`.
final class LogFile: OpenFile {
    private let view: LogView
    private let views: LogViews
    private let inode: Inode

    init(_ inode: Inode, in tree: FileSystem, by opener: Caller) {
        self.inode = inode
        views = tree.logViews
        view = tree.logViews.enter(inode) {
            LogView(tree.log, tree.quotas.user(opener.uid)) { [weak tree] text in
                tree?.shared(text, of: "control/log") ?? (SharedText(text), false)
            }
        }
    }

    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    {
        .bytes(try view.read(at: offset, size: size))
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        throw .badFileDescriptor
    }

    var length: UInt64? { view.length }
    func close() { views.leave(inode) }
}
