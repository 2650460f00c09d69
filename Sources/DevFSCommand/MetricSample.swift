import DevFS

/// A sample of the Prometheus text format, which `metrics` has.
struct MetricSample: Encodable {
    var name: String
    var labels: [String: String]?
    var value: Double

    static func all(in tree: Tree) throws -> [MetricSample] {
        try tree.lines("metrics").compactMap { MetricSample($0) }
    }

    /// `NAME VALUE` or `NAME{LABEL="TEXT",...} VALUE`; nil for a comment and for what is no sample.
    init?(_ line: Substring) {
        guard !line.hasPrefix("#"), let blank = line.lastIndex(of: " "),
            let value = Double(line[line.index(after: blank)...]), value.isFinite
        else { return nil }
        self.value = value
        let series = line[..<blank]
        guard let brace = series.firstIndex(of: "{") else {
            name = String(series)
            return
        }
        guard series.last == "}" else { return nil }
        name = String(series[..<brace])
        labels = Self.labels(series[series.index(after: brace)...].dropLast())
    }

    private static func labels(_ text: Substring) -> [String: String] {
        var labels: [String: String] = [:]
        var rest = text
        while let equals = rest.firstIndex(of: "=") {
            let name = String(rest[..<equals])
            // Behind the quotation mark.
            rest = rest[equals...].dropFirst(2)
            var value = ""
            while let character = rest.popFirst(), character != "\"" {
                if character != "\\" {
                    value.append(character)
                } else if let escaped = rest.popFirst() {
                    value.append(escaped == "n" ? "\n" : escaped)
                }
            }
            labels[name] = value
            rest = rest.drop { $0 == "," || $0 == " " }
        }
        return labels
    }
}
