import DevFS
import Dispatch
import Synchronization
import SystemPackage

/// Samples that a thread of their own takes: one that gets no answer leaves the keys alone.
final class TopSampler: Sendable {
    private let tree: Tree
    private let result = Mutex<Result<TopSample, any Error>?>(nil)
    private let queue = DispatchQueue(label: "devfs.top")

    init(_ tree: Tree) { self.tree = tree }

    func begin() {
        queue.async { [self] in
            let sample = Result { try TopSample(tree) }
            result.withLock { $0 = sample }
        }
    }

    /// The sample that was begun; nil where it is not there yet.
    func take() throws -> TopSample? {
        let sample = result.withLock { result in
            defer { result = nil }
            return result
        }
        return try sample?.get()
    }
}

/// The live table of `devfs top`.
struct TopScreen {
    private static let help = "q leave  s sort  r reverse  Tab table  +- interval"

    let mount: MountEntry
    var interval: Duration
    private var order = TopOrder()
    private var report: TopReport?
    /// The table that the arrows move in, and the first row that each shows.
    private var focus = 0
    private var first = [0, 0, 0]
    /// Rows of the table with the focus that are on the screen.
    private var page = 1

    init(_ mount: MountEntry, interval: Duration) {
        (self.mount, self.interval) = (mount, interval)
    }

    /// Shows the mount until `q`.
    mutating func run(_ tree: Tree, _ what: String) throws {
        let interrupts = try Interrupts()
        // What fails at once says so without a screen.
        var before = try TopSample(tree)
        let sampler = TopSampler(tree)
        let screen = try Screen()
        var (next, begun) = (ContinuousClock.now, ContinuousClock.Instant?.none)
        // The first rates come soon.
        var pause = min(interval, .milliseconds(300))
        while true {
            draw(screen, silence: begun.map { ContinuousClock.now - $0 } ?? .zero)
            try screen.wait(interrupts, milliseconds: 100, what)
            while let key = screen.key() {
                if try handle(key) { return }
            }
            let now = ContinuousClock.now
            if let start = begun {
                if let sample = try sampler.take() {
                    report = TopReport(mount, sample, since: before)
                    before = sample
                    (begun, next, pause) = (nil, start, interval)
                } else if now - start > .milliseconds(Int(Answers.milliseconds)) {
                    throw Failure(what, Answers.Silence(of: mount).text, status: .timedOut)
                }
            } else if now - next >= pause {
                begun = now
                sampler.begin()
            }
        }
    }

    /// True where it is the key to leave.
    private mutating func handle(_ key: Screen.Key) throws -> Bool {
        switch key {
        case .character("q"), .character("\u{1b}"): return true
        case .character("s"): order.next()
        case .character("r"): order.isReversed.toggle()
        case .character("\t"): focus = (focus + 1) % first.count
        case .character("+"): interval = min(interval * 2, .seconds(3600))
        case .character("-"): interval = max(interval / 2, .milliseconds(100))
        case .up: first[focus] -= 1
        case .down: first[focus] += 1
        case .pageUp: first[focus] -= page
        case .pageDown: first[focus] += page
        case .home: first[focus] = 0
        case .end: first[focus] = .max / 2
        default: break
        }
        return false
    }

    private mutating func draw(_ screen: borrowing Screen, silence: Duration) {
        screen.erase()
        defer { screen.show() }
        let glyphs = screen.glyphs
        for (row, line) in Self.head(mount, report, glyphs).enumerated() {
            screen.put(row, 0, line, row == 0 ? .bold : .plain)
        }
        if silence > .seconds(1) {
            screen.put(2, 0, "no answer for \(silence.components.seconds) s", .warning)
        }
        if screen.rows > 4 { screen.put(screen.rows - 1, 0, Self.help, .reverse) }
        guard let report else { return }
        let tables = TopTable.all(of: report, glyphs)
        // The head, the keys, and a heading for each table.
        let room = max(0, screen.rows - 3 - 1 - tables.count)
        var row = 3
        let shares = Self.shares(tables.map(\.rows.count), of: room)
        for (index, (table, share)) in zip(tables, shares).enumerated() {
            guard row < screen.rows - 1 else { return }
            var table = table
            table.sort(by: order)
            first[index] = max(0, min(first[index], table.rows.count - share))
            if index == focus { page = max(1, share) }
            let (heading, lines) = table.lines(order, screen.columns, glyphs)
            let more = table.rows.count - share
            let place =
                more > 0
                ? "  \(first[index] + 1)-\(first[index] + share) of \(table.rows.count)" : ""
            screen.put(
                row, 0, glyphs.cell(heading + place, screen.columns),
                Screen.Style(isBold: index == focus, isReverse: true))
            for offset in 0..<share where first[index] + offset < lines.count {
                let isWarning = table.rows[first[index] + offset].isWarning
                screen.put(
                    row + 1 + offset, 0, lines[first[index] + offset],
                    isWarning ? Screen.Style(colour: 3) : .plain)
            }
            row += 1 + share
        }
    }

    /// How many rows each table gets: all of them, or those with many share what others leave.
    private static func shares(_ counts: [Int], of room: Int) -> [Int] {
        var shares = counts.map { _ in 0 }
        var left = room
        while left > 0,
            let most = counts.indices.filter({ shares[$0] < counts[$0] })
                .min(by: { shares[$0] < shares[$1] })
        {
            shares[most] += 1
            left -= 1
        }
        return shares
    }

    /// What stands above the tables: three lines.
    static func head(_ mount: MountEntry, _ report: TopReport?, _ glyphs: Glyphs) -> [String] {
        let title = "\(mount.source) on \(mount.mountpoint)"
        guard let server = report?.server else { return [title, "measuring", ""] }
        let rss = server.rss.map { "  rss \(Output.roughSize($0))" } ?? ""
        let requests = server.requests.map { "  \(TopTable.roughRate($0)) requests/s" } ?? ""
        let part = server.size > 0 ? Double(server.used) / Double(server.size) : 0
        return [
            title, "server \(server.pid.map { "\($0)" } ?? "?")\(rss)\(requests)",
            "memory \(Output.roughSize(server.used)) of \(Output.roughSize(server.size)) "
                + TopTable.bar(part, 10, glyphs) + TopTable.percent(part),
        ]
    }
}
