import CCurses
import DevFS
import Glibc
import SystemPackage

/// What a terminal can show.
struct Glyphs: Sendable {
    /// Characters beyond ASCII, by the locale's encoding.
    let isUTF8: Bool

    /// Those of this process's locale.
    static let ofLocale = Glyphs(isUTF8: ccurses_use_locale())

    /// The text in no more than `columns`, with blanks behind it or, for numbers, before it. What
    /// does not print is escaped, and what the locale has no character for is `?`.
    func cell(_ text: String, _ columns: Int, isNumber: Bool = false) -> String {
        let shown = shown(text)
        let width = width(of: shown)
        if width > columns { return cut(shown, to: columns) }
        let blanks = String(repeating: " ", count: columns - width)
        return isNumber ? blanks + shown : shown + blanks
    }

    func shown(_ text: String) -> String {
        let text = text.printable
        return isUTF8 || text.utf8.allSatisfy({ $0 < 0x80 })
            ? text : String(text.map { $0.isASCII ? $0 : "?" })
    }

    /// Columns of a text that prints.
    func width(of text: String) -> Int {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return text.utf8.count }
        return text.unicodeScalars.map { Int(max(0, ccurses_width($0.value))) }.reduce(0, +)
    }

    /// The end of what does not fit is a mark.
    func cut(_ text: String, to columns: Int) -> String {
        guard width(of: text) > columns else { return text }
        guard columns > 0 else { return "" }
        var (result, used) = ("", 0)
        for character in text {
            let width = width(of: String(character))
            if used + width > columns - 1 { break }
            result.append(character)
            used += width
        }
        return result + (isUTF8 ? "\u{2026}" : "~")
            + String(repeating: " ", count: columns - 1 - used)
    }
}

/// The terminal as a grid of characters, which is what it was before once this is gone: at an
/// error, Ctrl-C, SIGTERM, SIGHUP, and as long as Ctrl-Z lasts.
struct Screen: ~Copyable {
    enum Key: Equatable {
        case character(Character)
        case up, down, left, right, pageUp, pageDown, home, end
        /// The size is another, or somebody else had the terminal.
        case redraw
        case other
    }

    struct Style {
        var isBold = false
        var isReverse = false
        /// 1 to 6, as of ANSI: red, green, yellow, blue, magenta, cyan; 0 is none.
        var colour: Int32 = 0

        static let plain = Style()
        static let bold = Style(isBold: true)
        static let reverse = Style(isReverse: true)
        static let warning = Style(isBold: true, colour: 1)
    }

    let glyphs = Glyphs.ofLocale

    /// True where there is one: standard input and output are a terminal.
    static var isThere: Bool { isatty(STDOUT_FILENO) == 1 && isatty(STDIN_FILENO) == 1 }

    /// Columns of the standard output; nil where it is no terminal, or one without a size.
    static var columnsOfOutput: Int? {
        let columns = Int(ccurses_columns_of(STDOUT_FILENO))
        return isatty(STDOUT_FILENO) == 1 && columns > 0 ? columns : nil
    }

    static var rowsOfOutput: Int? {
        let rows = Int(ccurses_rows_of(STDOUT_FILENO))
        return isatty(STDOUT_FILENO) == 1 && rows > 0 ? rows : nil
    }

    /// Takes the terminal. `Interrupts` are to be there before, so that Ctrl-C is theirs.
    init() throws {
        // https://no-color.org: set, and not empty.
        let wantsColour = (Environment.variable("NO_COLOR") ?? "").isEmpty
        guard ccurses_open(wantsColour) else {
            let name = Environment.variable("TERM") ?? ""
            throw Failure(
                "using the terminal",
                name.isEmpty ? "TERM is not set" : "TERM is \(name), which is not known here")
        }
    }

    deinit { ccurses_close() }

    var rows: Int { Int(ccurses_rows()) }
    var columns: Int { Int(ccurses_columns()) }

    func erase() { ccurses_erase() }
    func show() { ccurses_show() }

    /// Puts the part of `text` that fits into the row.
    func put(_ row: Int, _ column: Int, _ text: String, _ style: Style = .plain) {
        guard row >= 0, row < rows, column >= 0, column < columns else { return }
        let bits =
            (style.isBold ? CCURSES_BOLD.rawValue : 0)
            | (style.isReverse ? CCURSES_REVERSE.rawValue : 0)
        let text = glyphs.cut(glyphs.shown(text), to: columns - column)
        unsafe ccurses_put(Int32(row), Int32(column), text, Int32(bits), style.colour)
    }

    /// A key that was pressed; never waits.
    func key() -> Key? {
        let code = ccurses_key()
        switch code {
        case CCURSES_NONE.rawValue: return nil
        case Int32(CCURSES_UP.rawValue): return .up
        case Int32(CCURSES_DOWN.rawValue): return .down
        case Int32(CCURSES_LEFT.rawValue): return .left
        case Int32(CCURSES_RIGHT.rawValue): return .right
        case Int32(CCURSES_PAGE_UP.rawValue): return .pageUp
        case Int32(CCURSES_PAGE_DOWN.rawValue): return .pageDown
        case Int32(CCURSES_HOME.rawValue): return .home
        case Int32(CCURSES_END.rawValue): return .end
        case Int32(CCURSES_REDRAW.rawValue): return .redraw
        case 0..<0x80: return Unicode.Scalar(UInt32(code)).map { .character(Character($0)) }
        default: return .other
        }
    }

    /// Waits for a key or a signal.
    ///
    /// - Throws: where a signal ends the command, or the terminal has gone.
    func wait(
        _ interrupts: borrowing Interrupts, milliseconds: Int32, _ what: @autoclosure () -> String
    ) throws {
        try interrupts.check(what())
        let events = try attempting("waiting for a key") {
            try interrupts.poll(.standardInput, POLLIN, timeout: milliseconds)
        }
        if events & (POLLHUP | POLLERR | POLLNVAL) != 0 {
            throw Failure(what(), "the terminal has gone")
        }
        try interrupts.check(what())
    }
}
