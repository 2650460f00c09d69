import DevFS

/// How the rows of `devfs top` are sorted.
struct TopOrder: Sendable {
    enum Key: CaseIterable {
        case name
        /// Size or rate, the largest first.
        case amount
        /// References, missed events, overruns, the most first.
        case count
    }

    var key = Key.name
    var isReversed = false

    mutating func next() {
        let all = Key.allCases
        let index = all.firstIndex(of: key) ?? 0
        key = all[(index + 1) % all.count]
        isReversed = false
    }

    var mark: (utf8: String, ascii: String) {
        (key == .name) == isReversed ? ("\u{25bc}", "v") : ("\u{25b2}", "^")
    }
}

/// One of the tables of `devfs top`: buffers, signals, or streams.
struct TopTable {
    struct Row {
        var cells: [String]
        var amount: Double
        var count: UInt64
        /// Something was lost.
        var isWarning = false
    }

    /// The most important columns first: a narrow terminal has the others not.
    let heading: [String]
    /// Of the columns those with numbers.
    let numbers: Set<Int>
    /// Column of `.amount` and of `.count`.
    let sorted: (amount: Int, count: Int)
    private(set) var rows: [Row]

    private init(
        _ heading: [String], numbers: Set<Int>, amount: Int, count: Int, _ rows: [Row]
    ) {
        (self.heading, self.numbers, self.rows) = (heading, numbers, rows)
        sorted = (amount, count)
    }

    static func all(of report: TopReport, _ glyphs: Glyphs) -> [TopTable] {
        [buffers(report.buffers), signals(report.signals), streams(report.streams, glyphs)]
    }

    private static func buffers(_ buffers: [BufferRecord]) -> TopTable {
        TopTable(
            ["BUFFER", "SIZE", "REFS", "HEAP", "OWNER", "PID"], numbers: [1, 2, 5], amount: 1,
            count: 2,
            buffers.map {
                Row(
                    cells: [
                        $0.name, Output.roughSize($0.size), "\($0.refs)", $0.heap, $0.owner,
                        $0.pid == 0 ? "-" : "\($0.pid)",
                    ], amount: Double($0.size), count: $0.refs)
            })
    }

    private static func signals(_ signals: [TopReport.Signal]) -> TopTable {
        TopTable(
            ["SIGNAL", "RATE", "MISSED", "COUNT", "KIND"], numbers: [1, 2, 3], amount: 1, count: 2,
            signals.map {
                Row(
                    cells: [
                        $0.name, $0.rate.map { "\(roughRate($0))/s" } ?? "-", "\($0.missed)",
                        "\($0.count)", $0.enabled ? $0.kind : "\($0.kind) off",
                    ], amount: $0.rate ?? -1, count: $0.missed, isWarning: $0.missed > 0)
            })
    }

    private static func streams(_ streams: [TopReport.Stream], _ glyphs: Glyphs) -> TopTable {
        TopTable(
            ["STREAM", "RATE", "FILL", "OVERRUNS", "STATUS", "BUFFER"], numbers: [1, 3], amount: 1,
            count: 3,
            streams.map {
                Row(
                    cells: [
                        $0.name, $0.rate.map { "\(roughBytes($0))/s" } ?? "-",
                        $0.fill.map { bar($0, 6, glyphs) + percent($0) } ?? "-", "\($0.overruns)",
                        $0.status, $0.buffer,
                    ], amount: $0.rate ?? -1, count: $0.overruns, isWarning: $0.overruns > 0)
            })
    }

    mutating func sort(by order: TopOrder) {
        rows.sort { left, right in
            let (left, right) = order.isReversed ? (right, left) : (left, right)
            switch order.key {
            case .name: return left.cells[0] < right.cells[0]
            case .amount:
                return (right.amount, left.cells[0]) < (left.amount, right.cells[0])
            case .count: return (right.count, left.cells[0]) < (left.count, right.cells[0])
            }
        }
    }

    /// The lines for so many columns: the heading, with the order where it is marked, and one a row.
    func lines(_ order: TopOrder?, _ columns: Int, _ glyphs: Glyphs) -> (String, [String]) {
        var heading = heading
        if let order {
            let place =
                switch order.key {
                case .name: 0
                case .amount: sorted.amount
                case .count: sorted.count
                }
            heading[place] += glyphs.isUTF8 ? order.mark.utf8 : order.mark.ascii
        }
        let widths = widths(heading, columns, glyphs)
        let line = { (cells: [String]) in
            zip(cells, widths).enumerated().map { column, cell in
                glyphs.cell(cell.0, cell.1, isNumber: numbers.contains(column))
            }.joined(separator: "  ")
        }
        return (line(heading), rows.map { line($0.cells) })
    }

    /// Of the columns that there is room for. The name gets shorter before a column goes, but no
    /// shorter than 8.
    private func widths(_ heading: [String], _ columns: Int, _ glyphs: Glyphs) -> [Int] {
        var widths = heading.map { glyphs.width(of: $0) }
        for row in rows {
            for (column, cell) in row.cells.enumerated() {
                widths[column] = max(widths[column], glyphs.width(of: glyphs.shown(cell)))
            }
        }
        let gaps = { (count: Int) in 2 * max(0, count - 1) }
        while widths.count > 1 {
            let others = widths.dropFirst().reduce(0, +) + gaps(widths.count)
            if others + min(widths[0], 8) <= columns {
                widths[0] = min(widths[0], columns - others)
                return widths
            }
            widths.removeLast()
        }
        return [min(widths[0], columns)]
    }

    /// `[##    ]`, by eighths of a character where there are such.
    static func bar(_ part: Double, _ columns: Int, _ glyphs: Glyphs) -> String {
        let part = part.isFinite ? min(max(part, 0), 1) : 0
        let eighths = Int((part * Double(columns) * 8).rounded())  // fits: no more than 8 a column
        guard glyphs.isUTF8 else {
            let full = (eighths + 4) / 8
            return "[" + String(repeating: "#", count: full)
                + String(repeating: " ", count: columns - full) + "]"
        }
        let full = String(repeating: "\u{2588}", count: eighths / 8)
        let rest = eighths % 8
        let last =
            rest == 0
            ? "" : Unicode.Scalar(0x2590 - UInt32(rest)).map { String(Character($0)) } ?? ""
        let blanks = columns - eighths / 8 - (rest == 0 ? 0 : 1)
        return "\u{2595}" + full + last + String(repeating: " ", count: blanks) + "\u{258f}"
    }

    static func percent(_ part: Double) -> String {
        let whole = Int((min(max(part, 0), 1) * 100).rounded())  // fits: 0 to 100
        return String(repeating: " ", count: 4 - "\(whole)%".count) + "\(whole)%"
    }

    static func roughBytes(_ rate: Double) -> String {
        Output.roughSize(UInt64(min(max(rate, 0), 1e18)))  // fits: clamped
    }

    /// A number of events for the eye, in thousands: `9.8`, `120`, `1.5k`.
    static func roughRate(_ rate: Double) -> String {
        var value = max(rate, 0)
        var unit = ""
        for larger in ["k", "M", "G"] where value >= 999.5 {
            value /= 1000
            unit = larger
        }
        value = min(value, 1e9)
        let tenths = Int((value * 10).rounded())  // fits: clamped
        let whole = Int(value.rounded())  // fits: clamped
        if value >= 99.95 || tenths % 10 == 0 { return "\(whole)\(unit)" }
        return "\(tenths / 10).\(tenths % 10)\(unit)"
    }
}
