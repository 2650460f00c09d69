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
        field.values = values(sets, width: width)
        return try elements(item, name: item.name, stride: width).map { element in
            var one = field
            one.name = element.name
            one.lowest = lowest.addingClamped(element.offset)
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
        guard let (base, scope, isElement) = find(name, item, scopes) else {
            if name == item.name || self.item(at: name)?.0 === item {
                throw MapError(
                    path, line: item.line, "\(item.name) derives from itself",
                    .tooManySymbolicLinkLevels)
            }
            throw MapError(
                path, line: item.line, "\(item.name) derives from \(name), which is not there")
        }
        try resolve(base, among: scope)
        item.derivedFrom = nil
        let takesArray = !isElement && item[.dim] == nil && Self.takesArray(item)
        for value in base.values where item[value.tag] == nil {
            switch value.tag {
            case .name: continue
            case .dim, .dimIndex: if !takesArray { continue }
            // Of an array of its own, that it does not say it of.
            case .dimIncrement: if !takesArray && item[.dim] == nil { continue }
            default: break
            }
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

    /// A register or a cluster that derives from an array is one. Of the others, one whose name says
    /// so: many a field derives from one of an array only for its values.
    private static func takesArray(_ item: XMLItem) -> Bool {
        item.tag == .register || item.tag == .cluster || item.name.contains("%s")
    }

    /// The item, what it is in, and whether one element of it is meant.
    private func find(
        _ name: String, _ item: XMLItem, _ scopes: [XMLItem]
    ) -> (XMLItem, XMLItem, Bool)? {
        for scope in scopes {
            if let found = find(name, item, in: scope, depth: 2) {
                return (found.0, found.1, false)
            }
        }
        for scope in scopes {
            let array = scope.children.first {
                $0.tag == item.tag && $0 !== item && $0.hasElement(name)
            }
            if let array { return (array, scope, true) }
        }
        guard let found = self.item(at: name) else { return nil }
        return found.0.tag == item.tag && found.0 !== item ? found : nil
    }

    /// What a path from the top leads to.
    private func item(at path: String) -> (XMLItem, XMLItem, Bool)? {
        var (place, above, isElement) = (root, root, false)
        for part in path.split(separator: ".") {
            isElement = false
            var next = place.children.first { $0.name == part || $0.name.replacingMark == part }
            if next == nil {
                next = place.children.first { $0.hasElement(String(part)) }
                isElement = true
            }
            guard let next else { return nil }
            (above, place) = (place, next)
        }
        return (place, above, isElement)
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

extension XMLItem {
    /// It is an array, and one of its elements has that name. No list is made of them.
    fileprivate func hasElement(_ name: String) -> Bool {
        guard let count = number(.dim) else { return false }
        let mark = self.name.contains("[%s]") ? "[%s]" : "%s"
        let parts = self.name.split(separator: mark, omittingEmptySubsequences: false)
        let (front, back) = parts.count == 2 ? (parts[0], parts[1]) : (self.name[...], "")
        guard parts.count <= 2, name.utf8.count > front.utf8.count + back.utf8.count,
            name.hasPrefix(front), name.hasSuffix(back)
        else { return false }
        let index = name.dropFirst(front.count).dropLast(back.count)
        return ArrayName.has(String(index), self[.dimIndex], count: count)
    }
}

extension String {
    /// A name without the mark of an array.
    fileprivate var replacingMark: String {
        for mark in ["[%s]", "%s"] where hasSuffix(mark) { return String(dropLast(mark.count)) }
        return self
    }
}
