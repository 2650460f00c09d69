/// Arithmetic on numbers from outside, where plain `+` and `*` would end the server.
extension UInt64 {
    /// The sum, or the largest number where that is larger.
    package func addingClamped(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }

    /// The product, or the largest number where that is larger.
    package func multipliedClamped(by other: UInt64) -> UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? .max : product
    }

    /// Bytes of a page of memory.
    static let page: UInt64 = 4096

    /// So many bytes in whole pages, or the largest number where these are more.
    var wholePages: UInt64 {
        let (last, overflow) = addingReportingOverflow(Self.page - 1)
        return overflow ? .max : last / Self.page * Self.page
    }
}

/// Numbers of events. `count` and `suffix` end the server where there are 2^63 or more.
extension ClosedRange<UInt64> {
    /// How many there are, or the largest number where it is one more.
    var length: UInt64 { (upperBound - lowerBound).addingClamped(1) }

    /// The last ones, `count` of them at the most, which is 1 or more.
    func newest(_ count: UInt64) -> ClosedRange<UInt64> {
        upperBound - Swift.min(upperBound - lowerBound, count - 1)...upperBound
    }
}
