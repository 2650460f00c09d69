import DevFS
import FoundationEssentials
import SystemPackage

/// What programs and people read on stdout.
enum Output {
    /// Prints a value as indented JSON.
    static func json(_ value: some Encodable) throws {
        try write(encoded(value, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]))
    }

    /// Prints a value as JSON on a line of its own, at once.
    static func jsonLine(_ value: some Encodable) throws {
        try write(encoded(value, options: [.sortedKeys, .withoutEscapingSlashes]))
    }

    /// Prints one line, at once: the reader may be a pipe that waits for it. Names of others are in
    /// it, so that what does not print is escaped, a newline too.
    static func line(_ text: String) throws {
        try write(text.printable)
    }

    /// Prints lines, as `line` does.
    static func lines(_ texts: some Sequence<some StringProtocol>) throws {
        try write(texts.map { String($0).printable }.joined(separator: "\n"))
    }

    private static func write(_ text: String) throws {
        try attempting("writing the output") {
            _ = try FileDescriptor.standardOutput.writeAll("\(text)\n".utf8)
        }
    }

    private static func encoded(
        _ value: some Encodable, options: JSONEncoder.OutputFormatting
    ) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = options
        return String.printableJSON(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    /// Prints rows below a heading, in columns two blanks apart; nothing where there is no row.
    static func table(_ heading: [String], _ rows: [[String]]) throws {
        guard !rows.isEmpty else { return }
        // Before the widths are counted.
        let rows = rows.map { $0.map(\.printable) }
        var widths = heading.map(\.count)
        for row in rows {
            for (column, cell) in row.enumerated() {
                widths[column] = max(widths[column], cell.count)
            }
        }
        var lines: [String] = []
        for row in [heading] + rows {
            var line = ""
            for (cell, width) in zip(row, widths) {
                line += cell + String(repeating: " ", count: width - cell.count + 2)
            }
            while line.last == " " { line.removeLast() }
            lines.append(line)
        }
        try Self.lines(lines)
    }

    /// Bytes as the tree takes them: in the largest unit that divides them.
    static func size(_ bytes: UInt64) -> String {
        for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")]
        where bytes > 0 && bytes & ((1 << shift) - 1) == 0 {
            return "\(bytes >> shift)\(unit)"
        }
        return String(bytes)
    }

    /// Bytes for the eye: at most four digits and a unit.
    static func roughSize(_ bytes: UInt64) -> String {
        var value = Double(bytes)
        var unit = ""
        for larger in ["K", "M", "G", "T"] where value >= 1000 {
            value /= 1024
            unit = larger
        }
        // At most 2^64 / 2^40 with a unit, and below 1000 without.
        let tenths = Int((value * 10).rounded())  // fits: no more than 2^28
        let whole = Int(value.rounded())  // fits: no more than 2^24
        return unit.isEmpty || value >= 100
            ? "\(whole)\(unit)" : "\(tenths / 10).\(tenths % 10)\(unit)"
    }
}
