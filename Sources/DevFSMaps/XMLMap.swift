import DevFS

/// The XML formats: CMSIS-SVD, and IP-XACT of 2009, 2014 and 2022.
enum XMLMap {
    static func parse(_ bytes: [UInt8], _ path: String) throws(SetupError) -> RegisterMap {
        do throws(MapError) {
            let root = try XMLReader.read(bytes, path)
            var converter = XMLConverter(path, root)
            if root.tag == .device {
                try converter.convertDevice()
            } else {
                try converter.convertComponent()
            }
            return converter.map
        } catch {
            throw error.failure
        }
    }
}

/// What an element has of those above it.
struct Inherited {
    /// Bits.
    var size: UInt64 = 32
    var access = RegisterAccess.readWrite
    var reset: UInt64?
    var effect = WriteEffect.none
}

/// What both formats have in common.
struct XMLConverter {
    let path: String
    let root: XMLItem
    var map: RegisterMap
    /// Registers, fields and blocks so far, each element of an array counted.
    var budget = RegisterMap.largest

    init(_ path: String, _ root: XMLItem) {
        self.path = path
        self.root = root
        map = RegisterMap(path: path)
    }

    mutating func warn(_ item: XMLItem, _ why: String) {
        guard map.warnings.count < 1000 else { return }
        map.warnings.append("\(path):\(item.line): \(item.name): \(why)")
    }

    mutating func spend(_ count: Int, _ item: XMLItem) throws(MapError) {
        budget -= count
        guard budget >= 0 else {
            throw MapError(
                path, line: item.line, "more than \(RegisterMap.largest) registers and fields",
                .argListTooLong)
        }
    }

    /// A number that may be missing, but not be anything else.
    func number(_ tag: XMLTag, of item: XMLItem) throws(MapError) -> UInt64? {
        guard let text = item[tag] else { return nil }
        guard let number = MapNumber.parse(text) else {
            throw MapError(
                path, line: item.line, "\(item.name): \(tag.rawValue) '\(text)' is no number")
        }
        return number
    }

    // MARK: Arrays

    struct Element {
        var name: String
        /// Bytes, or bits of a field, from the first.
        var offset: UInt64
    }

    static let longestArray: UInt64 = 1 << 16

    /// A block, or one for each element of its array. What they have in them shares its memory, here,
    /// and not in the tree.
    ///
    /// - Parameter cost: what one was charged for.
    mutating func repeated(
        _ block: RegisterBlock, of item: XMLItem, stride: UInt64, cost: Int
    ) throws(MapError) -> [RegisterBlock] {
        let elements = try elements(item, name: item.name, stride: stride)
        let (more, overflow) = cost.multipliedReportingOverflow(by: elements.count - 1)
        try spend(overflow ? .max : more, item)
        return elements.map { element in
            var one = block
            one.name = element.name
            one.offset = block.offset.addingClamped(element.offset)
            return one
        }
    }

    /// The elements of an array, or the one thing that is none.
    mutating func elements(
        _ item: XMLItem, name: String, stride: UInt64
    ) throws(MapError) -> [Element] {
        var all = [Element(name: name, offset: 0)]
        let dims = item.values.filter { $0.tag == .dim }
        guard !dims.isEmpty else { return all }
        var stride = stride
        if let given = try number(.stride, of: item) { stride = given }
        if let given = try number(.dimIncrement, of: item) { stride = given }
        // The last dimension is the innermost.
        for dim in dims.reversed() {
            guard let count = MapNumber.parse(dim.text), (1...Self.longestArray).contains(count)
            else {
                throw MapError(
                    path, line: item.line,
                    "\(name): an array of '\(dim.text)' elements; 1 to \(Self.longestArray)")
            }
            let size = Int(count)  // fits: checked
            try spend(size - 1, item)
            guard let indices = ArrayName.indices(item[.dimIndex], count: size) else {
                throw MapError(
                    path, line: item.line,
                    "\(name): dimIndex '\(item[.dimIndex] ?? "")' has not \(size) elements")
            }
            try spend((all.count - 1) * size, item)
            var next: [Element] = []
            for (index, text) in indices.enumerated() {
                for inner in all {
                    // The outer index stands before the inner one.
                    let element =
                        dims.count == 1 || inner.name == name
                        ? ArrayName.element(inner.name, text)
                        : "\(name)\(text)_\(inner.name.dropFirst(name.count))"
                    let offset = UInt64(index).multipliedClamped(by: stride)
                        .addingClamped(inner.offset)
                    next.append(Element(name: element, offset: offset))
                }
            }
            all = next
            stride = stride.multipliedClamped(by: count)
        }
        return all
    }

    // MARK: Registers

    /// What a register or field says of itself.
    mutating func inherited(_ item: XMLItem, _ above: Inherited) throws(MapError) -> Inherited {
        var own = above
        if let size = try number(.size, of: item) { own.size = size }
        if let word = item[.access] {
            if let access = RegisterAccess(word: word) {
                own.access = access
            } else {
                warn(item, "access '\(word)' is unknown")
            }
        }
        if let reset = try number(.resetValue, of: item) { own.reset = reset }
        if let word = item[.modifiedWriteValues] ?? item[.modifiedWriteValue] {
            if let effect = WriteEffect(rawValue: word) {
                own.effect = effect
            } else {
                warn(item, "\(word) is unknown")
            }
        }
        return own
    }

    static func summary(_ item: XMLItem) -> String {
        item[.description] ?? item[.displayName] ?? ""
    }

    /// Each element of one, without its fields.
    mutating func registers(
        _ item: XMLItem, _ own: Inherited, fields: [RegisterField]
    ) throws(MapError) -> [Register] {
        guard let offset = try number(.addressOffset, of: item) else {
            throw MapError(path, line: item.line, "\(item.name): a register without addressOffset")
        }
        try spend(1 + fields.count, item)
        var register = Register(
            name: item.name, offset: offset,
            width: own.size.isMultiple(of: 8) ? own.size / 8 : 0)
        register.summary = Self.summary(item)
        register.access = own.access
        register.effect = own.effect
        register.reset = own.reset
        // One that comes from above is cut to what fits.
        if item[.resetValue] ?? item[.value] != nil, let reset = own.reset, own.size < 64,
            reset >> own.size != 0
        {
            warn(item, "its reset does not fit the register: left out")
            register.reset = nil
        }
        // Also of a field that is left out.
        register.readHasEffect =
            item[.readAction] != nil || item.children(.field).contains { $0[.readAction] != nil }
        register.fields = fields
        let stride = (own.size.addingReportingOverflow(7).partialValue) / 8
        let elements = try elements(item, name: item.name, stride: stride)
        try spend((elements.count - 1) * fields.count, item)
        return elements.map { element in
            var one = register
            one.name = element.name
            one.offset = offset.addingClamped(element.offset)
            return one
        }
    }

    /// Of a field, what `lowest` and `width` do not say.
    mutating func field(
        _ item: XMLItem, lowest: UInt64, width: UInt64, _ above: Inherited
    ) throws(MapError) -> RegisterField {
        let own = try inherited(item, above)
        var field = RegisterField(name: item.name, lowest: lowest, width: width)
        field.summary = Self.summary(item)
        field.access = own.access
        field.effect = own.effect
        field.readHasEffect = item[.readAction] != nil
        if let least = try number(.minimum, of: item), let most = try number(.maximum, of: item),
            least <= most
        {
            field.range = least...most
        }
        field.isNamedOnly = MapNumber.isTrue(item[.useEnumeratedValues])
        // The value that is there is the only one that may be written.
        if MapNumber.isTrue(item[.writeAsRead]) && field.access.writes { field.access = .readOnly }
        return field
    }

    /// Values with a name, in reads, in writes or in both: `usage` says it, of SVD for a set of them,
    /// of IP-XACT for each. The first name of a value counts.
    ///
    /// - Parameter width: bits of the field.
    mutating func values(_ items: [XMLItem], width: UInt64) -> [RegisterValue] {
        var (read, written): ([UInt64: Int], [UInt64: Int]) = ([:], [:])
        var found: [RegisterValue] = []
        for (usage, item) in items.flatMap({ set in
            set.children(.enumeratedValue).map { ($0[.usage] ?? set[.usage], $0) }
        }) {
            // What is for all other values has none.
            guard let text = item[.value] else { continue }
            // Bits that do not matter make many values of one name.
            if text.contains(where: { $0 == "x" }) && text.hasPrefix("#") { continue }
            guard let value = MapNumber.parse(text) else {
                warn(item, "value '\(text)' is no number")
                continue
            }
            guard width >= 64 || value >> width == 0 else {
                warn(item, "value '\(text)' does not fit the field: left out")
                continue
            }
            let isRead = usage != "write" && read[value] == nil
            let isWritten = usage != "read" && written[value] == nil
            guard isRead || isWritten else { continue }
            // Two sets may give it the same name, one for reads and one for writes.
            let other = isRead ? written[value] : read[value]
            if isRead != isWritten, let other, found[other].name == item.name {
                found[other].use = .both
                if isRead { read[value] = other } else { written[value] = other }
                continue
            }
            if isRead { read[value] = found.count }
            if isWritten { written[value] = found.count }
            let use: ValueUse = isRead && isWritten ? .both : isRead ? .read : .write
            found.append(RegisterValue(name: item.name, value: value, use: use))
        }
        return found
    }
}
