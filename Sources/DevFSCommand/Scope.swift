import DevFS
import Glibc
import SystemPackage

/// A live picture: an oscilloscope.
struct Scope {
    private var request: ViewRequest
    private var trigger: Trigger?
    /// The level and edge that `t` brings back.
    private var lastTrigger: Trigger
    /// Holds at the first picture that the trigger gives.
    private var isSingle: Bool
    private var isHeld = false
    private var frames: Frames?
    /// The picture of a buffer.
    private var picture: Picture?
    /// What each pane shows, which only grows.
    private var ranges: [ClosedRange<Double>?]
    private var state = ""
    private var lost: UInt64?

    init(_ request: ViewRequest, _ trigger: Trigger?, holds: Bool) {
        self.request = request
        self.trigger = trigger
        lastTrigger = trigger ?? Trigger(level: 0)
        isSingle = holds
        ranges = request.layout.fields.map { _ in nil }
    }

    mutating func run() throws {
        let interrupts = try Interrupts()
        if request.source.folder == .buffers {
            // What cannot be shown is an error without a screen.
            _ = try request.bufferPicture(20, .ofLocale, interrupts)
            return try watchBuffer(interrupts)
        }
        try request.checkPeriod()
        let file = try request.source.open()
        defer { try? file.close() }
        try watchStream(file, interrupts)
    }

    private mutating func watchBuffer(_ interrupts: borrowing Interrupts) throws {
        let screen = try Screen()
        while true {
            if !isHeld {
                picture = try request.bufferPicture(screen.columns, screen.glyphs, interrupts)
            }
            draw(screen)
            if try waitForKeys(screen, interrupts, milliseconds: 200) { return }
        }
    }

    private mutating func watchStream(
        _ file: FileDescriptor, _ interrupts: borrowing Interrupts
    ) throws {
        let overruns = "streams/\(request.source.name.text)/overruns"
        let lostBefore = request.source.tree.number(overruns) ?? 0
        let screen = try Screen()
        var capture = Capture(request, trigger)
        var isOver = false
        var (window, watched) = (request.window, trigger)
        var asked = ContinuousClock.now
        while true {
            if request.window != window || trigger != watched {
                (window, watched) = (request.window, trigger)
                capture = Capture(request, trigger)
            }
            if !isOver {
                // Held or not: what is not read is lost, and stops some streams.
                isOver = try capture.fill(from: file, interrupts, isFirst: isSingle) == .ended
                if !isHeld, let newest = capture.frames(needsAll: !isOver) {
                    show(newest)
                    isHeld = isSingle && trigger != nil
                    isSingle = isSingle && !isHeld
                    state = ""
                } else if !isHeld {
                    state = trigger == nil || frames == nil ? "waiting" : "no trigger"
                }
                if ContinuousClock.now - asked > .seconds(1) {
                    asked = .now
                    lost = request.source.tree.number(overruns).map { $0 - min($0, lostBefore) }
                }
            }
            if isOver { state = "ended" } else if isHeld { state = "held" }
            draw(screen)
            if try waitForKeys(screen, interrupts, milliseconds: 50) { return }
        }
    }

    private mutating func show(_ newest: Frames) {
        frames = newest
        for (index, values) in newest.values.enumerated() {
            let curve = Curve(width: 1, values)
            guard let range = curve.range else { continue }
            ranges[index] =
                ranges[index].map {
                    min($0.lowerBound, range.lowerBound)...max($0.upperBound, range.upperBound)
                } ?? range
        }
    }

    private func draw(_ screen: borrowing Screen) {
        screen.erase()
        defer { screen.show() }
        let (rows, columns) = (screen.rows, screen.columns)
        var shown = picture
        if request.source.folder == .streams {
            let words = [
                state, trigger.map { "trigger \($0.description)" } ?? "",
                lost.map { $0 > 0 ? "\($0) periods lost" : "" } ?? "",
            ].filter { !$0.isEmpty }
            let text = words.joined(separator: "  ")
            guard let frames else {
                screen.put(0, 0, "\(request.source.name.text)  \(text)", .bold)
                return
            }
            shown = request.picture(
                frames, text, width: Canvas.dots(columns: columns, screen.glyphs),
                mark: trigger?.level, ranges: ranges)
        } else if isHeld {
            shown?.title += "  held"
        }
        guard let shown, rows > 0 else { return }
        for (row, line) in shown.lines(columns: columns, rows: rows - 1, screen.glyphs).enumerated()
        {
            screen.put(row, 0, line, row == 0 ? .bold : .plain)
        }
        screen.put(rows - 1, 0, Self.help, .reverse)
    }

    private static let help =
        "q leave  Space hold  t trigger  up/down level  e edge  left/right time  f spectrum"

    /// True where it is the key to leave.
    private mutating func waitForKeys(
        _ screen: borrowing Screen, _ interrupts: borrowing Interrupts, milliseconds: Int32
    ) throws -> Bool {
        try screen.wait(interrupts, milliseconds: milliseconds, request.source.what)
        while let key = screen.key() {
            switch key {
            case .character("q"), .character("\u{1b}"): return true
            case .character(" "): isHeld.toggle()
            case .character("f"): request.isSpectrum.toggle()
            case .character("a"): ranges = ranges.map { _ in nil }
            case .character("t"): trigger = trigger == nil ? lastTrigger : nil
            case .character("e"): changeTrigger { $0.isFalling.toggle() }
            case .up: changeTrigger { [step] in $0.level += step }
            case .down: changeTrigger { [step] in $0.level -= step }
            case .left: request.zoom(by: 0.5)
            case .right: request.zoom(by: 2)
            default: break
            }
        }
        return false
    }

    /// A twentieth of what the first pane shows.
    private var step: Double {
        guard let range = ranges[0], range.upperBound > range.lowerBound else { return 1 }
        return (range.upperBound - range.lowerBound) / 20
    }

    private mutating func changeTrigger(_ change: (inout Trigger) -> Void) {
        change(&lastTrigger)
        if trigger != nil { trigger = lastTrigger }
    }
}
