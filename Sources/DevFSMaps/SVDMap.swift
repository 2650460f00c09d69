import DevFS

/// CMSIS-SVD: peripherals, clusters, registers and fields, each of which may derive from another.
extension XMLConverter {
    mutating func convertDevice() throws(MapError) {
        if root.children(.cpu).first?[.endian] == "big" { map.isBigEndian = true }
        let above = try inherited(root, Inherited())
        for peripheral in root.children(.peripheral) {
            try resolve(peripheral, among: root)
            guard let base = try number(.baseAddress, of: peripheral) else {
                throw MapError(
                    path, line: peripheral.line,
                    "\(peripheral.name): a peripheral without baseAddress")
            }
            map.top.blocks += try blocks(peripheral, at: base, above)
        }
    }

    /// A peripheral or a cluster: each element of one.
    private mutating func blocks(
        _ item: XMLItem, at offset: UInt64, _ above: Inherited
    ) throws(MapError) -> [RegisterBlock] {
        let own = try inherited(item, above)
        try spend(1, item)
        let before = budget
        var block = RegisterBlock(name: item.name)
        block.offset = offset
        for child in item.children {
            switch child.tag {
            case .register:
                try resolve(child, among: item)
                block.registers += try registers(child, in: item, own)
            case .cluster:
                try resolve(child, among: item)
                block.blocks += try blocks(
                    child, at: try number(.addressOffset, of: child) ?? 0, own)
            default: break
            }
        }
        return try repeated(block, of: item, stride: 0, cost: before - budget)
    }

    private mutating func registers(
        _ item: XMLItem, in parent: XMLItem, _ above: Inherited
    ) throws(MapError) -> [Register] {
        let own = try inherited(item, above)
        var fields: [RegisterField] = []
        for child in item.children(.field) {
            try resolve(child, among: item)
            fields += try self.fields(child, in: item, of: parent, own)
        }
        return try registers(item, own, fields: fields)
    }

    private mutating func fields(
        _ item: XMLItem, in register: XMLItem, of parent: XMLItem, _ above: Inherited
    ) throws(MapError) -> [RegisterField] {
        guard let (lowest, width) = bits(of: item) else {
            warn(item, "a field without bits: left out")
            return []
        }
        var field = try field(item, lowest: lowest, width: width, above)
        var sets: [XMLItem] = []
        for set in item.children(.enumeratedValues) {
            try resolve(set, among: item, register, parent)
            sets.append(set)
        }
        field.values = values(sets)
        return try elements(item, name: item.name, stride: width).map { element in
            var one = field
            one.name = element.name
            one.lowest = lowest &+ element.offset
            return one
        }
    }

    /// By `bitOffset` and `bitWidth`, by `lsb` and `msb`, or by `bitRange`, `[7:4]`.
    private func bits(of item: XMLItem) -> (lowest: UInt64, width: UInt64)? {
        func between(_ low: UInt64?, _ high: UInt64?) -> (UInt64, UInt64)? {
            guard let low, let high, max(low, high) < 64 else { return nil }
            // Some files have them the other way round.
            return (min(low, high), max(low, high) - min(low, high) + 1)
        }
        if let offset = item.number(.bitOffset) { return (offset, item.number(.bitWidth) ?? 1) }
        if item[.lsb] != nil { return between(item.number(.lsb), item.number(.msb)) }
        guard let range = item[.bitRange] else { return nil }
        let ends = range.filter { !"[] ".contains($0) }.split(separator: ":")
        return between(
            ends.last.flatMap { MapNumber.parse($0) }, ends.first.flatMap { MapNumber.parse($0) })
    }

    // MARK: derivedFrom

    /// Gives an item what it derives from, which is looked for in `scopes`, nearest first, then by
    /// its path from the top.
    /// - Throws: where it isn't there, or derives from itself.
    private func resolve(_ item: XMLItem, among scopes: XMLItem...) throws(MapError) {
        guard let name = item.derivedFrom else { return }
        guard !item.isVisited else {
            throw MapError(
                path, line: item.line, "\(item.name) derives from itself, by \(name)",
                .tooManySymbolicLinkLevels)
        }
        item.isVisited = true
        defer { item.isVisited = false }
        guard let (base, scope) = find(name, item, scopes) else {
            throw MapError(
                path, line: item.line, "\(item.name) derives from \(name), which is not there")
        }
        try resolve(base, among: scope)
        item.derivedFrom = nil
        for value in base.values where item[value.tag] == nil && !Self.isOwn(value.tag) {
            item.values.append(value)
        }
        let names = Set(item.children.map { "\($0.tag.rawValue) \($0.name)" })
        // Its own values take the place of all that the other has.
        let hasValues = item.children.contains { $0.tag == .enumeratedValues }
        item.children =
            base.children.filter {
                !names.contains("\($0.tag.rawValue) \($0.name)")
                    && !(hasValues && $0.tag == .enumeratedValues)
            } + item.children
    }

    /// An array's elements are not derived.
    private static func isOwn(_ tag: XMLTag) -> Bool {
        [.name, .dim, .dimIncrement, .dimIndex].contains(tag)
    }

    /// The item, and what it is in.
    private func find(
        _ name: String, _ item: XMLItem, _ scopes: [XMLItem]
    ) -> (XMLItem, XMLItem)? {
        for scope in scopes {
            if let found = find(name, item, in: scope, depth: 2) { return found }
        }
        var (place, above) = (root, root)
        for part in name.split(separator: ".") {
            let next = place.children.first {
                $0.name == part || $0.name.replacingMark == part
            }
            guard let next else { return nil }
            (above, place) = (place, next)
        }
        return place.tag == item.tag && place !== item ? (place, above) : nil
    }

    /// Values are found in the other fields of a register, and the other registers, as well.
    private func find(
        _ name: String, _ item: XMLItem, in scope: XMLItem, depth: Int
    ) -> (XMLItem, XMLItem)? {
        for child in scope.children where child.tag == item.tag && child !== item {
            if child.name == name { return (child, scope) }
        }
        guard item.tag == .enumeratedValues, depth > 0 else { return nil }
        for child in scope.children {
            if let found = find(name, item, in: child, depth: depth - 1) { return found }
        }
        return nil
    }
}

extension String {
    /// A name without the mark of an array.
    fileprivate var replacingMark: String {
        for mark in ["[%s]", "%s"] where hasSuffix(mark) { return String(dropLast(mark.count)) }
        return self
    }
}
