import ArgumentParser

/// How the bytes of a buffer or stream are numbers: the fields of a frame, which repeats.
struct SampleLayout: ExpressibleByArgument, Equatable, Sendable {
    enum Kind: String, Sendable {
        case signed = "i"
        case unsigned = "u"
        case float = "f"
    }

    /// A number in a frame.
    struct Field: Equatable, Sendable {
        var name: String
        var kind: Kind
        /// Bytes: 1, 2, 4 or 8.
        var width: Int
        var isBig: Bool
        /// Bytes from the frame's begin.
        var offset = 0

        /// As numpy writes it: `<i2`.
        var numpy: String { "\(width == 1 ? "|" : isBig ? ">" : "<")\(kind.rawValue)\(width)" }

        /// What an amplitude of 0 dB is: the largest of an integer, else 1.
        var fullScale: Double {
            guard kind != .float else { return 1 }
            let bits = width * 8 - (kind == .signed ? 1 : 0)
            return Double(UInt64(1) << UInt64(bits - 1)) * 2
        }

        func value(_ frame: UnsafeRawBufferPointer) -> Double {
            switch (kind, width) {
            case (.signed, 1): unsafe Double(load(frame, as: Int8.self))
            case (.signed, 2): unsafe Double(load(frame, as: Int16.self))
            case (.signed, 4): unsafe Double(load(frame, as: Int32.self))
            case (.signed, _): unsafe Double(load(frame, as: Int64.self))
            case (.unsigned, 1): unsafe Double(load(frame, as: UInt8.self))
            case (.unsigned, 2): unsafe Double(load(frame, as: UInt16.self))
            case (.unsigned, 4): unsafe Double(load(frame, as: UInt32.self))
            case (.unsigned, _): unsafe Double(load(frame, as: UInt64.self))
            case (.float, 2): unsafe Self.half(load(frame, as: UInt16.self))
            case (.float, 4): unsafe Double(Float(bitPattern: load(frame, as: UInt32.self)))
            case (.float, _): unsafe Double(bitPattern: load(frame, as: UInt64.self))
            }
        }

        private func load<Number: FixedWidthInteger & BitwiseCopyable>(
            _ frame: UnsafeRawBufferPointer, as type: Number.Type
        ) -> Number {
            let number = unsafe frame.loadUnaligned(fromByteOffset: offset, as: type)
            return isBig ? Number(bigEndian: number) : Number(littleEndian: number)
        }

        /// IEEE 754's binary16, which Swift has not on every processor.
        private static func half(_ bits: UInt16) -> Double {
            let exponent = Int(bits >> 10 & 31)
            let fraction = Double(bits & 1023) / 1024
            let sign: Double = bits >> 15 == 0 ? 1 : -1
            switch exponent {
            case 0: return sign * fraction * 0x1p-14
            case 31: return fraction == 0 ? sign * .infinity : .nan
            default:
                return sign * (1 + fraction)
                    * Double(sign: .plus, exponent: exponent - 15, significand: 1)
            }
        }
    }

    private(set) var fields: [Field]
    /// Bytes of a frame.
    private(set) var size: Int
    /// Pairs of fields are one complex number each.
    private(set) var isComplex = false
    /// It is one number, which can be repeated.
    private(set) var isScalar = true

    static let bytes = SampleLayout(
        fields: [Field(name: "1", kind: .unsigned, width: 1, isBig: false)], size: 1)
    static let longest = 64 << 10

    private init(fields: [Field], size: Int) { (self.fields, self.size) = (fields, size) }

    /// A name of numpy's (`int16`, `<i2`, `complex64`), one with bits and byte order (`i16le`,
    /// `ci16_le`), or a format of Python's module struct (`<hhI`).
    init?(argument: String) {
        if let number = Self.number(argument) {
            self = number
            return
        }
        guard let fields = Self.structure(argument) else { return nil }
        self = fields
    }

    /// The same number for each of several channels, one after the other in a frame.
    func repeated(_ channels: Int) -> SampleLayout {
        var all: [Field] = []
        for channel in 0..<channels {
            for (part, field) in fields.enumerated() {
                var field = field
                field.offset += channel * size
                field.name = "\(channel + 1)" + (isComplex ? part == 0 ? " I" : " Q" : "")
                all.append(field)
            }
        }
        var result = SampleLayout(fields: all, size: size * channels)
        (result.isComplex, result.isScalar) = (isComplex, isScalar)
        return result
    }

    // MARK: names of numbers

    private static let names: [Substring: String] = [
        "int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8", "uint8": "u1", "uint16": "u2",
        "uint32": "u4", "uint64": "u8", "float16": "f2", "float32": "f4", "float64": "f8",
        "complex64": "c8", "complex128": "c16", "byte": "i1", "ubyte": "u1", "short": "i2",
        "ushort": "u2", "intc": "i4", "uintc": "u4", "half": "f2", "single": "f4", "double": "f8",
    ]

    private static func number(_ text: String) -> SampleLayout? {
        var rest = text[...]
        var isBig: Bool?
        if let order = rest.first, "<>=|!".contains(order) {
            isBig = order == ">" || order == "!"
            rest.removeFirst()
        }
        if let name = names[rest] { return numpy(name[...], isBig ?? false) }
        if let known = numpy(rest, isBig ?? false) { return known }
        return isBig == nil ? bits(rest) : nil
    }

    /// A kind and bytes: `i2`, `c8`.
    private static func numpy(_ text: Substring, _ isBig: Bool) -> SampleLayout? {
        guard let letter = text.first, let bytes = Int(text.dropFirst()) else { return nil }
        if letter == "c" {
            return bytes == 8 || bytes == 16
                ? scalar(.float, bytes / 2, isBig, isComplex: true) : nil
        }
        guard let kind = Kind(rawValue: String(letter)), [1, 2, 4, 8].contains(bytes),
            kind != .float || bytes > 1, text.dropFirst().first?.isNumber ?? false
        else { return nil }
        return scalar(kind, bytes, isBig, isComplex: false)
    }

    /// A kind, bits and byte order: `i16le`; as SigMF has them, `ri16_le`, `cf32_le`. Of 8 bits
    /// only the latter: `u8` is numpy's, with 8 bytes.
    private static func bits(_ text: Substring) -> SampleLayout? {
        var rest = text
        var isBig = false
        for (end, isBigEnd) in [("_le", false), ("_be", true), ("le", false), ("be", true)]
        where rest.hasSuffix(end) {
            rest.removeLast(end.count)
            isBig = isBigEnd
            break
        }
        let prefix = rest.first == "c" || rest.first == "r" ? rest.removeFirst() : nil
        guard let letter = rest.popFirst(), let kind = Kind(rawValue: String(letter)),
            let bits = Int(rest), [8, 16, 32, 64].contains(bits), bits > 8 || prefix != nil,
            kind != .float || bits > 8
        else { return nil }
        return scalar(kind, bits / 8, isBig, isComplex: prefix == "c")
    }

    private static func scalar(
        _ kind: Kind, _ width: Int, _ isBig: Bool, isComplex: Bool
    ) -> SampleLayout {
        var field = Field(name: "1", kind: kind, width: width, isBig: isBig)
        guard isComplex else { return SampleLayout(fields: [field], size: width) }
        field.name = "1 I"
        let other = Field(
            name: "1 Q", kind: kind, width: width, isBig: isBig, offset: width)
        var result = SampleLayout(fields: [field, other], size: 2 * width)
        result.isComplex = true
        return result
    }

    // MARK: Python's struct

    private static let letters: [Character: (kind: Kind?, native: Int, standard: Int)] = [
        "x": (nil, 1, 1), "c": (nil, 1, 1), "s": (nil, 1, 1), "b": (.signed, 1, 1),
        "B": (.unsigned, 1, 1), "?": (.unsigned, 1, 1), "h": (.signed, 2, 2),
        "H": (.unsigned, 2, 2), "i": (.signed, 4, 4), "I": (.unsigned, 4, 4),
        "l": (.signed, MemoryLayout<Int>.size, 4), "L": (.unsigned, MemoryLayout<Int>.size, 4),
        "q": (.signed, 8, 8), "Q": (.unsigned, 8, 8), "e": (.float, 2, 2), "f": (.float, 4, 4),
        "d": (.float, 8, 8),
    ]

    /// A format as `struct.unpack` takes it: its numbers, aligned as C does where no byte order is
    /// given. Texts and padding are no fields.
    private static func structure(_ text: String) -> SampleLayout? {
        var rest = text[...]
        var (isNative, isBig) = (true, false)
        if let order = rest.first, "@=<>!".contains(order) {
            (isNative, isBig) = (order == "@", order == ">" || order == "!")
            rest.removeFirst()
        }
        var fields: [Field] = []
        var size = 0
        while let next = rest.first {
            if next == " " {
                rest.removeFirst()
                continue
            }
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            guard digits.count < 6, let count = digits.isEmpty ? 1 : Int(digits) else { return nil }
            rest = rest.dropFirst(digits.count)
            guard let letter = rest.popFirst(), let form = letters[letter] else { return nil }
            let width = isNative ? form.native : form.standard
            if isNative && width > 1 { size = (size + width - 1) / width * width }
            for index in 0..<count {
                guard size + width <= longest else { return nil }
                if let kind = form.kind {
                    fields.append(
                        Field(
                            name: "\(fields.count + 1)", kind: kind, width: width, isBig: isBig,
                            offset: size))
                } else if index > longest {
                    return nil
                }
                size += width
            }
        }
        guard !fields.isEmpty else { return nil }
        var result = SampleLayout(fields: fields, size: size)
        result.isScalar = false
        return result
    }
}

/// Samples a second: decimal, with k, M or G (times 1000) behind.
struct SampleRate: ExpressibleByArgument, Sendable {
    let hertz: Double

    init(hertz: Double) { self.hertz = hertz }

    init?(argument: String) {
        let factors: [Character: Double] = ["k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9]
        let factor = argument.last.flatMap { factors[$0] }
        let digits = factor == nil ? argument[...] : argument.dropLast()
        guard let first = digits.first, first.isNumber || first == ".",
            let number = Double(digits), number > 0, number * (factor ?? 1) <= 1e15
        else { return nil }
        hertz = number * (factor ?? 1)
    }
}
