/// Bytes of the ports whose read has an effect, whatever register or field a map says it of. Who reads
/// one of them has the effect, also by another register (a 16550's divisor is where its data are), and
/// where what the map says it of is left out.
struct ReadEffects {
    /// Of each port.
    private var spans: [UInt8: [Range<UInt64>]] = [:]

    /// Nothing of the register has been checked yet.
    mutating func note(_ register: Register, at offset: UInt64, port: UInt8) {
        guard register.readHasEffect || register.fields.contains(where: \.readHasEffect) else {
            return
        }
        let lastWord = (max(register.words, 1) - 1).multipliedClamped(by: 4)
        let end = offset.addingClamped(lastWord.addingClamped(max(register.width, 1)))
        if offset < end { spans[port, default: []].append(offset..<end) }
    }

    /// To be done before the first look: puts them in order, those that touch as one.
    mutating func merge() {
        spans = spans.mapValues { spans in
            var merged: [Range<UInt64>] = []
            for span in spans.sorted(by: { $0.lowerBound < $1.lowerBound }) {
                if let last = merged.last, span.lowerBound <= last.upperBound {
                    let end = max(last.upperBound, span.upperBound)
                    merged[merged.count - 1] = last.lowerBound..<end
                } else {
                    merged.append(span)
                }
            }
            return merged
        }
    }

    /// A read of the register reads one of the bytes.
    func touch(_ register: RegisterTable.Item) -> Bool {
        guard let spans = spans[register.port] else { return false }
        // The first that ends behind the register's start.
        var (low, high) = (0, spans.count)
        while low < high {
            let middle = low + (high - low) / 2
            let isBefore = spans[middle].upperBound <= register.offset
            if isBefore { low = middle + 1 } else { high = middle }
        }
        return low < spans.count && spans[low].lowerBound < register.offset + register.length
    }
}
