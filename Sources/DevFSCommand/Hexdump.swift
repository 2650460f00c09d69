import DevFS

/// Bytes as hexadecimal numbers, with where they are: `00000010  de ad be ef  |....|`.
struct Hexdump {
    /// Where a part of the buffer is for the device.
    struct Segment {
        var offset: UInt64
        var address: UInt64
        var length: UInt64

        /// `ADDRESS LENGTH`, a line each, as `sg_table` has them.
        static func all(_ text: String) -> [Segment] {
            var offset: UInt64 = 0
            return text.split(separator: "\n").compactMap { line in
                let words = line.split(separator: " ").map { word in
                    word.hasPrefix("0x") ? UInt64(word.dropFirst(2), radix: 16) : UInt64(word)
                }
                guard words.count == 2, let address = words[0], let length = words[1] else {
                    return nil
                }
                defer { offset = offset &+ length }
                return Segment(offset: offset, address: address, length: length)
            }
        }
    }

    private let perLine: Int
    private let hasText: Bool
    private let segments: [Segment]?
    /// The line before, and whether a `*` stands for those that were the same.
    private var last: [UInt8] = []
    private var isFolded = false
    private var end: UInt64 = 0

    /// - Parameters:
    ///   - columns: nil is as many as it takes.
    ///   - segments: for the bus address of each line.
    init(columns: Int?, segments: [Segment]?) {
        self.segments = segments
        let room = (columns ?? .max / 2) - (segments == nil ? 10 : 30)
        let forms = [(16, true), (8, true), (4, true), (8, false), (4, false), (2, false)]
        let fitting = forms.first { count, hasText in
            3 * count - 1 + (hasText ? count + 4 : 0) <= room
        }
        (perLine, hasText) = fitting ?? (1, false)
    }

    /// Bytes that calls of `lines` are to have, but for the last: a number of whole lines.
    static let chunk = 1 << 16

    /// The lines for bytes that come next.
    mutating func lines(_ bytes: ArraySlice<UInt8>, at offset: UInt64) -> [String] {
        var lines: [String] = []
        var (rest, place) = (bytes, offset)
        while !rest.isEmpty {
            let line = Array(rest.prefix(perLine))
            rest = rest.dropFirst(perLine)
            if line == last && line.count == perLine {
                if !isFolded { lines.append("*") }
                isFolded = true
            } else {
                (last, isFolded) = (line, false)
                lines.append(text(line, at: place))
            }
            place += UInt64(line.count)
        }
        end = place
        return lines
    }

    /// The line with where the bytes end, without which a `*` says nothing.
    var lastLine: String { Self.hexadecimal(end, digits: 8) }

    private func text(_ line: [UInt8], at offset: UInt64) -> String {
        var text = Self.hexadecimal(offset, digits: 8)
        if let segments {
            let segment = segments.last { $0.offset <= offset && offset - $0.offset < $0.length }
            let address = segment.map {
                Self.hexadecimal($0.address &+ (offset - $0.offset), digits: 16)
            }
            text += "  " + (address.map { "0x\($0)" } ?? "-" + String(repeating: " ", count: 17))
        }
        text += "  " + line.map { Self.hexadecimal(UInt64($0), digits: 2) }.joined(separator: " ")
        guard hasText else { return text }
        let shown = line.map { (0x20..<0x7f).contains($0) ? Character(Unicode.Scalar($0)) : "." }
        let blanks = String(repeating: " ", count: 3 * (perLine - line.count) + 2)
        return text + blanks + "|" + String(shown) + "|"
    }

    private static func hexadecimal(_ number: UInt64, digits: Int) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}
