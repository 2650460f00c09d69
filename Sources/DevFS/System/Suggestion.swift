/// What to write instead of a word that is not known.
package enum Suggestion {
    /// `the keys are a, b; did you mean b?`, without the question where nothing is near.
    ///
    /// - Parameter what: the plural of what the word should be, as in `heaps`.
    package static func text(_ word: some StringProtocol, _ what: String, _ known: [String])
        -> String
    {
        let list = "the \(what) are \(known.joined(separator: ", "))"
        guard let near = nearest(word, known) else { return list }
        return "\(list); did you mean \(near)?"
    }

    /// The known word that takes the fewest changes, if they are few for its length.
    package static func nearest(_ word: some StringProtocol, _ known: [String]) -> String? {
        // What is longer than any word is like none, and would take long to compare.
        guard word.utf8.count <= 64 else { return nil }
        let typed = Array(word.lowercased().utf8)
        let near = known.map { ($0, distance(typed, Array($0.utf8))) }
            .min { $0.1 < $1.1 }
        guard let (match, changes) = near, changes <= max(1, match.utf8.count / 3) else {
            // The beginning of one word alone means it.
            let begun = known.filter { !typed.isEmpty && $0.utf8.starts(with: typed) }
            return begun.count == 1 ? begun.first : nil
        }
        return match
    }

    /// Letters to insert, to leave out, to change or to swap with the next (optimal string alignment).
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var rows = [Array(0...right.count)]
        for i in left.indices {
            var row = [i + 1]
            for j in right.indices {
                let change = left[i] == right[j] ? 0 : 1
                var best = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + change)
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    best = min(best, rows[i - 1][j - 1] + 1)
                }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[left.count][right.count]
    }
}
