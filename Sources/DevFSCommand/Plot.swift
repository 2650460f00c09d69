import DevFS

/// Dots in a grid of characters: eight a character in braille, two in ASCII.
struct Canvas {
    let columns: Int
    let rows: Int
    let glyphs: Glyphs
    private var dots: [Bool]

    init(columns: Int, rows: Int, _ glyphs: Glyphs) {
        (self.columns, self.rows, self.glyphs) = (max(1, columns), max(1, rows), glyphs)
        dots = []
        dots = [Bool](repeating: false, count: width * height)
    }

    static func dots(columns: Int, _ glyphs: Glyphs) -> Int { columns * (glyphs.isUTF8 ? 2 : 1) }

    var width: Int { Self.dots(columns: columns, glyphs) }
    var height: Int { rows * (glyphs.isUTF8 ? 4 : 2) }

    mutating func set(_ x: Int, _ y: Int) {
        guard (0..<width).contains(x), (0..<height).contains(y) else { return }
        dots[y * width + x] = true
    }

    /// By Bresenham.
    mutating func line(_ x0: Int, _ y0: Int, _ x1: Int, _ y1: Int) {
        let (dx, dy) = (abs(x1 - x0), -abs(y1 - y0))
        let (sx, sy) = (x0 < x1 ? 1 : -1, y0 < y1 ? 1 : -1)
        var (x, y, error) = (x0, y0, dx + dy)
        while true {
            set(x, y)
            if x == x1 && y == y1 { return }
            let twice = 2 * error
            if twice >= dy {
                error += dy
                x += sx
            }
            if twice <= dx {
                error += dx
                y += sy
            }
        }
    }

    var lines: [String] {
        (0..<rows).map { row in
            String((0..<columns).map { glyphs.isUTF8 ? braille(row, $0) : ascii(row, $0) })
        }
    }

    private func isSet(_ x: Int, _ y: Int) -> Bool { dots[y * width + x] }

    private func braille(_ row: Int, _ column: Int) -> Character {
        // The order of U+2800's bits.
        let places = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]
        var bits: UInt32 = 0
        for (bit, (x, y)) in places.enumerated() where isSet(column * 2 + x, row * 4 + y) {
            bits |= 1 << UInt32(bit)
        }
        return Unicode.Scalar(0x2800 + bits).map { Character($0) } ?? " "
    }

    private func ascii(_ row: Int, _ column: Int) -> Character {
        switch (isSet(column, row * 2), isSet(column, row * 2 + 1)) {
        case (false, false): " "
        case (true, false): "'"
        case (false, true): "."
        case (true, true): ":"
        }
    }
}

/// A curve, cut down to what the dots of a plot can show: the range of values in each column.
struct Curve {
    struct Column {
        var low = Double.infinity
        var high = -Double.infinity
        var first = Double.nan
        var last = Double.nan
    }

    private(set) var columns: [Column]
    /// Of all values.
    let count: UInt64
    private(set) var range: ClosedRange<Double>?

    init(width: Int, count: UInt64) {
        columns = Array(repeating: Column(), count: max(1, width))
        self.count = max(1, count)
    }

    init(width: Int, _ values: [Double]) {
        self.init(width: width, count: UInt64(values.count))
        for (index, value) in values.enumerated() { add(value, at: UInt64(index)) }
    }

    mutating func add(_ value: Double, at index: UInt64) {
        guard value.isFinite else { return }
        let width = UInt64(columns.count)
        // Few values are spread from the first column to the last.
        let column =
            count >= width
            ? index.multipliedFullWidth(by: width) : index.multipliedFullWidth(by: width - 1)
        let place = min(
            width - 1,
            (count >= width ? count : max(1, count - 1)).dividingFullWidth(column).quotient)
        range = range.map { min($0.lowerBound, value)...max($0.upperBound, value) } ?? value...value
        let at = Int(place)  // fits: below the width
        columns[at].low = min(columns[at].low, value)
        columns[at].high = max(columns[at].high, value)
        if columns[at].first.isNaN { columns[at].first = value }
        columns[at].last = value
    }
}

/// One of the panes of a picture: a title above a curve.
struct Pane {
    var title: String
    var curve: Curve
    /// What is shown of the values; at first all of them.
    var range: ClosedRange<Double>?
    /// A line across, at this value.
    var mark: Double?

    func lines(columns: Int, rows: Int, _ glyphs: Glyphs) -> [String] {
        var canvas = Canvas(columns: columns, rows: rows - 1, glyphs)
        var range = range ?? curve.range ?? 0...0
        if range.lowerBound == range.upperBound {
            range = range.lowerBound - 1...range.upperBound + 1
        }
        let top = Double(canvas.height - 1)
        let height = { (value: Double) -> Int in
            let part = (range.upperBound - value) / (range.upperBound - range.lowerBound)
            guard part.isFinite else { return 0 }
            return Int((min(max(part, -1), 2) * top).rounded())  // fits: clamped
        }
        if let mark, range.contains(mark) {
            for x in stride(from: 0, to: canvas.width, by: 4) { canvas.set(x, height(mark)) }
        }
        var before: (x: Int, y: Int)?
        for (x, column) in curve.columns.enumerated() where !column.first.isNaN {
            if let before { canvas.line(before.x, before.y, x, height(column.first)) }
            canvas.line(x, height(column.low), x, height(column.high))
            before = (x, height(column.last))
        }
        return [glyphs.cut(title, to: columns)] + canvas.lines
    }
}

/// Panes one below the other, and what stands below them.
struct Picture {
    var panes: [Pane]
    /// Of the axis: what is at its left and right end.
    var axis: (left: String, right: String)
    /// Above all.
    var title: String

    /// All lines; panes that there is no room for are left out, and that is said.
    func lines(columns: Int, rows: Int, _ glyphs: Glyphs) -> [String] {
        // A title and two lines.
        let fitting = max(1, min(panes.count, (rows - 2) / 3))
        let height = max(2, (rows - 2) / fitting)
        let left = panes.count - fitting
        let more = left > 0 ? "  \(left) more have no room" : ""
        var lines = [glyphs.cut(glyphs.shown(title + more), to: columns)]
        for pane in panes.prefix(fitting) {
            lines += pane.lines(columns: columns, rows: height, glyphs)
        }
        let room = columns - axis.left.count - axis.right.count
        lines.append(
            room > 0
                ? axis.left + String(repeating: " ", count: room) + axis.right
                : glyphs.cut(axis.right, to: columns))
        return lines
    }

    /// A number of four digits, with a unit that has k, M, m and so on before it.
    static func number(_ value: Double, _ unit: String = "") -> String {
        guard value.isFinite else { return "\(value)" }
        if value == 0 { return unit.isEmpty ? "0" : "0 \(unit)" }
        var (number, prefix) = (value, "")
        if !unit.isEmpty {
            let size = abs(value)
            for (factor, letter) in [
                (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"),
            ] where size >= factor * 0.99999 || letter == "n" {
                (number, prefix) = (value / factor, letter)
                break
            }
        }
        var digits = rounded(number)
        if digits.hasSuffix(".0") { digits.removeLast(2) }
        return unit.isEmpty ? digits : "\(digits) \(prefix)\(unit)"
    }

    /// To four digits where it has more, but never a digit before the point less.
    private static func rounded(_ value: Double) -> String {
        if value == value.rounded(), abs(value) < 1e15 { return "\(value)" }
        var factor = 1.0
        while abs(value) * factor < 1000 && factor < 1e15 { factor *= 10 }
        return "\((value * factor).rounded() / factor)"
    }
}
