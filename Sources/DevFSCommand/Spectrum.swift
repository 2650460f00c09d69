import Glibc

/// The spectrum of samples, by a window of Hann and a transform of a power of two of them.
struct Spectrum {
    static let most = 1 << 16
    static let least = 8

    /// Decibels by frequency: from 0 to half the rate, or of complex samples from minus half of it.
    /// A sine of the amplitude `fullScale` is 0 dB.
    let decibels: [Double]
    let isComplex: Bool

    /// Samples that are used of so many.
    static func length(of count: Int) -> Int {
        var length = 1
        while length * 2 <= min(count, most) { length *= 2 }
        return length
    }

    /// - Parameter imaginary: empty where the samples are real.
    init(real: [Double], imaginary: [Double], fullScale: Double) {
        let count = Self.length(of: real.count)
        isComplex = !imaginary.isEmpty
        // One sample that is no number would be in all frequencies. Squares stay numbers.
        let clean = { (value: Double) in value.isFinite ? min(max(value, -1e140), 1e140) : 0 }
        var (re, im) = (real.prefix(count).map(clean), [Double](repeating: 0, count: count))
        for index in 0..<min(count, imaginary.count) { im[index] = clean(imaginary[index]) }
        // What is constant would hide what is beside it.
        if !isComplex {
            let mean = re.reduce(0, +) / Double(count)
            for index in re.indices { re[index] -= mean }
        }
        for index in 0..<count {
            let window = 0.5 - 0.5 * cos(2 * .pi * Double(index) / Double(count))
            (re[index], im[index]) = (re[index] * window, im[index] * window)
        }
        Self.transform(&re, &im)
        // The window's mean is a half; a real sine has a half of its amplitude on each side.
        let scale = 2 / Double(count) * (isComplex ? 1 : 2) / fullScale
        let magnitude = { (index: Int) -> Double in
            20
                * log10(
                    max((re[index] * re[index] + im[index] * im[index]).squareRoot() * scale, 1e-12)
                )
        }
        let half = count / 2
        decibels =
            isComplex
            ? (half..<count).map(magnitude) + (0..<half).map(magnitude) : (0...half).map(magnitude)
    }

    /// Place of the largest value.
    var peak: Int { decibels.indices.max { decibels[$0] < decibels[$1] } ?? 0 }

    /// The frequency of a place, in parts of the rate.
    func frequency(of index: Int) -> Double {
        isComplex
            ? Double(index) / Double(decibels.count) - 0.5
            : Double(index) / Double(2 * (decibels.count - 1))
    }

    /// In place, by Cooley and Tukey with radix 2.
    static func transform(_ re: inout [Double], _ im: inout [Double]) {
        let count = re.count
        var reversed = 0
        for index in 1..<max(1, count) {
            var bit = count >> 1
            while reversed & bit != 0 {
                reversed ^= bit
                bit >>= 1
            }
            reversed |= bit
            if index < reversed {
                re.swapAt(index, reversed)
                im.swapAt(index, reversed)
            }
        }
        var length = 2
        while length <= count {
            let half = length / 2
            for place in 0..<half {
                let angle = -2 * Double.pi * Double(place) / Double(length)
                let (c, s) = (cos(angle), sin(angle))
                for start in stride(from: place, to: count, by: length) {
                    let (r, i) = (re[start + half], im[start + half])
                    let (x, y) = (r * c - i * s, r * s + i * c)
                    (re[start + half], im[start + half]) = (re[start] - x, im[start] - y)
                    (re[start], im[start]) = (re[start] + x, im[start] + y)
                }
            }
            length *= 2
        }
    }
}
