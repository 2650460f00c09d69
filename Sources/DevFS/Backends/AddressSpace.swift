/// The addresses that a device can have, and which of them are taken.
///
/// The lowest that are free are given: a device that drives few address bits reaches them.
struct AddressSpace: Sendable {
    /// Nothing is given below: who programs a device with an address that was never set, which is 0,
    /// finds nothing there.
    static let lowest: UInt64 = 1 << 20
    /// The largest step of page tables that is worth being aligned to.
    private static let largestStep: UInt64 = 2 << 20

    /// Whole pages, in order; none touches the next.
    private var free: [Range<UInt64>]
    /// What there was at first.
    let usable: [Range<UInt64>]

    /// - Parameters:
    ///   - ranges: what the IOMMU can map.
    ///   - bits: address bits that the device drives, 1 to 64.
    init(_ ranges: [ClosedRange<UInt64>], bits: Int) {
        let end: UInt64 = bits >= 64 ? UInt64.max & ~(UInt64.page - 1) : 1 << UInt64(bits)
        var parts: [Range<UInt64>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            let first = max(range.lowerBound, Self.lowest, parts.last?.upperBound ?? 0)
            let (whole, isOver) = first.addingReportingOverflow(UInt64.page - 1)
            guard !isOver else { continue }
            let start = whole & ~(UInt64.page - 1)
            // The last page of all is left out: its end is no number.
            let last = min(range.upperBound, end - 1)
            guard last != .max else { continue }
            let stop = (last + 1) & ~(UInt64.page - 1)
            guard start < stop else { continue }
            if let before = parts.last, before.upperBound == start {
                parts[parts.count - 1] = before.lowerBound..<stop
            } else {
                parts.append(start..<stop)
            }
        }
        usable = parts
        free = parts
    }

    /// The last address that there is; nil for none.
    var last: UInt64? { usable.last.map { $0.upperBound - 1 } }
    /// Bytes that are free in one piece.
    var largest: UInt64 { free.map { $0.upperBound - $0.lowerBound }.max() ?? 0 }

    /// What is free from `address` on, or begins before and goes on there.
    private func index(of address: UInt64) -> Int? {
        var (low, high) = (0, free.count)
        while low < high {
            let middle = (low + high) / 2
            if free[middle].upperBound <= address { low = middle + 1 } else { high = middle }
        }
        return low < free.count ? low : nil
    }

    /// Takes whole pages, which have to be free.
    mutating func take(_ range: Range<UInt64>) -> Bool {
        if range.isEmpty { return true }
        guard let index = index(of: range.lowerBound) else { return false }
        let whole = free[index]
        guard whole.lowerBound <= range.lowerBound, range.upperBound <= whole.upperBound else {
            return false
        }
        let rest = [
            whole.lowerBound..<range.lowerBound, range.upperBound..<whole.upperBound,
        ].filter { !$0.isEmpty }
        free.replaceSubrange(index...index, with: rest)
        return true
    }

    /// Takes the lowest range that is free.
    /// - Parameter length: whole pages, not 0.
    mutating func take(_ length: UInt64) -> Range<UInt64>? {
        let power = UInt64(1) << UInt64(63 - length.leadingZeroBitCount)
        let step = min(power, Self.largestStep)
        for part in free {
            let (sum, isOver) = part.lowerBound.addingReportingOverflow(step - 1)
            guard !isOver else { return nil }
            let start = sum & ~(step - 1)
            let (end, isBeyond) = start.addingReportingOverflow(length)
            guard !isBeyond, start < part.upperBound, end <= part.upperBound else { continue }
            return take(start..<end) ? start..<end : nil
        }
        return nil
    }

    /// Gives back what was taken.
    mutating func give(_ range: Range<UInt64>) {
        guard !range.isEmpty else { return }
        let next = index(of: range.lowerBound) ?? free.count
        var (start, end) = (range.lowerBound, range.upperBound)
        var (from, to) = (next, next)
        if next > 0, free[next - 1].upperBound == start {
            from = next - 1
            start = free[from].lowerBound
        }
        if next < free.count, free[next].lowerBound == end {
            end = free[next].upperBound
            to = next + 1
        }
        free.replaceSubrange(from..<to, with: [start..<end])
    }
}
