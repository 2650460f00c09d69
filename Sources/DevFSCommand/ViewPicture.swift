import DevFS
import Glibc
import SystemPackage

/// Where a picture begins: the first channel crosses a level.
struct Trigger: Equatable {
    var level: Double
    var isFalling = false

    func fires(from before: Double, to now: Double) -> Bool {
        isFalling ? before > level && now <= level : before < level && now >= level
    }

    var description: String { "\(isFalling ? "falling" : "rising") to \(Picture.number(level))" }
}

extension ViewRequest {
    /// The picture for what is not live, in the size of the terminal.
    func picture(_ trigger: Trigger?, _ interrupts: borrowing Interrupts) throws -> [String] {
        let glyphs = Glyphs.ofLocale
        let columns = Screen.columnsOfOutput ?? 80
        let rows = max(4, min((Screen.rowsOfOutput ?? 24) - 1, 40))
        if source.folder == .streams {
            try checkPeriod()
            var capture = Capture(self, trigger)
            let file = try source.open()
            defer { try? file.close() }
            while true {
                try interrupts.check(source.what)
                let state = try capture.fill(from: file, interrupts, isFirst: true)
                if let frames = capture.frames(needsAll: state != .ended) {
                    return picture(frames, "", width: Canvas.dots(columns: columns, glyphs))
                        .lines(columns: columns, rows: rows, glyphs)
                }
                if state == .ended { throw Failure(source.what, "the stream ended") }
                _ = try interrupts.poll(file, POLLIN, timeout: -1)
            }
        }
        return try bufferPicture(columns, glyphs, interrupts)
            .lines(columns: columns, rows: rows, glyphs)
    }

    /// Of a buffer as it is now, however large: it is read a part at a time.
    func bufferPicture(
        _ columns: Int, _ glyphs: Glyphs, _ interrupts: borrowing Interrupts
    ) throws -> Picture {
        let size = try source.tree.doing(source.what) {
            try Stat(FilePath(source.path)).size
        }
        let there = UInt64(max(0, size)) - min(UInt64(max(0, size)), offset)
        let count = min(bytes ?? there, there) / UInt64(layout.size)
        guard count > 0 else {
            throw Failure(
                source.what,
                "it has \(there) bytes from \(offset) on, and a frame is \(layout.size) bytes")
        }
        if isSpectrum {
            let chunk = Spectrum.length(of: Int(clamping: count)) * layout.size
            var frames = Frames(layout)
            let part = limited(to: UInt64(chunk))
            try part.read(interrupts, chunk: chunk) { bytes, _ in frames.append(bytes) }
            return spectrum(frames, "", width: Canvas.dots(columns: columns, glyphs))
        }
        let width = Canvas.dots(columns: columns, glyphs)
        var curves = layout.fields.map { _ in Curve(width: width, count: count) }
        var frame: UInt64 = 0
        let chunk = max(1, (1 << 20) / layout.size) * layout.size
        try limited(to: count * UInt64(layout.size)).read(interrupts, chunk: chunk) { bytes, _ in
            unsafe Frames.each(layout, bytes) { bytes in
                for (index, field) in layout.fields.enumerated() {
                    unsafe curves[index].add(field.value(bytes), at: frame)
                }
                frame += 1
            }
        }
        return Picture(
            panes: zip(layout.fields, curves).map {
                Pane(title: Self.title($0, $1.range), curve: $1)
            },
            axis: axis(from: offset / UInt64(layout.size), frames: count),
            title: "\(source.name.text)  \(count) samples")
    }

    private func limited(to bytes: UInt64) -> ViewRequest {
        ViewRequest(
            source: source, layout: layout, rate: rate, offset: offset, bytes: bytes,
            isSpectrum: isSpectrum)
    }

    /// Of frames that are there, for so many dots.
    func picture(
        _ frames: Frames, _ state: String, width: Int, mark: Double? = nil,
        ranges: [ClosedRange<Double>?] = []
    ) -> Picture {
        if isSpectrum { return spectrum(frames, state, width: width) }
        let panes = layout.fields.indices.map { index -> Pane in
            let curve = Curve(width: width, frames.values[index])
            return Pane(
                title: Self.title(layout.fields[index], curve.range), curve: curve,
                range: index < ranges.count ? ranges[index] : nil, mark: index == 0 ? mark : nil)
        }
        return Picture(
            panes: panes, axis: axis(from: 0, frames: UInt64(frames.count)),
            title: "\(source.name.text)  \(state)")
    }

    private func spectrum(_ frames: Frames, _ state: String, width: Int) -> Picture {
        let step = layout.isComplex ? 2 : 1
        let panes = stride(from: 0, to: layout.fields.count, by: step).map { index -> Pane in
            let field = layout.fields[index]
            let spectrum = Spectrum(
                real: frames.values[index],
                imaginary: layout.isComplex ? frames.values[index + 1] : [],
                fullScale: field.fullScale)
            let peak = spectrum.peak
            let top = spectrum.decibels[peak]
            let place = frequency(spectrum.frequency(of: peak))
            let unit = field.kind == .float ? "dB" : "dBFS"
            return Pane(
                title:
                    "\(field.name.prefix { $0 != " " }): \(Picture.number((top * 10).rounded() / 10)) "
                    + "\(unit) at \(place)",
                curve: Curve(width: width, spectrum.decibels),
                range: top - 100...top)
        }
        let length = Spectrum.length(of: frames.count)
        return Picture(
            panes: panes,
            axis: (layout.isComplex ? frequency(-0.5) : frequency(0), frequency(0.5)),
            title:
                "\(source.name.text)  \(state)\(state.isEmpty ? "" : "  ")spectrum of \(length) samples"
        )
    }

    private func frequency(_ part: Double) -> String {
        rate.map { Picture.number(part * $0.hertz, "Hz") } ?? "\(Picture.number(part)) of the rate"
    }

    private func axis(from first: UInt64, frames: UInt64) -> (left: String, right: String) {
        guard let rate else { return ("\(first)", "\(first + frames - 1)") }
        return (
            Picture.number(Double(first) / rate.hertz, "s"),
            Picture.number(Double(first + frames) / rate.hertz, "s")
        )
    }

    private static func title(_ field: SampleLayout.Field, _ range: ClosedRange<Double>?) -> String
    {
        guard let range else { return "\(field.name): no number" }
        return
            "\(field.name): \(Picture.number(range.lowerBound)) to \(Picture.number(range.upperBound))"
    }
}

/// The numbers of frames, by field.
struct Frames {
    let layout: SampleLayout
    private(set) var values: [[Double]]

    var count: Int { values.first?.count ?? 0 }

    init(_ layout: SampleLayout) {
        self.layout = layout
        values = layout.fields.map { _ in [] }
    }

    mutating func append(_ bytes: ArraySlice<UInt8>) {
        unsafe Self.each(layout, bytes) { frame in
            for (index, field) in layout.fields.enumerated() {
                unsafe values[index].append(field.value(frame))
            }
        }
    }

    /// Calls `body` with the bytes of each whole frame.
    static func each(
        _ layout: SampleLayout, _ bytes: ArraySlice<UInt8>, _ body: (UnsafeRawBufferPointer) -> Void
    ) {
        unsafe bytes.withUnsafeBytes { bytes in
            for start in stride(from: 0, through: bytes.count - layout.size, by: layout.size) {
                unsafe body(UnsafeRawBufferPointer(rebasing: bytes[start..<start + layout.size]))
            }
        }
    }
}
