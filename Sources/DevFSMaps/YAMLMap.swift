import DevFS

/// Our own format, for who has no map of another: docs/howto/registers.md describes it.
enum YAMLMap {
    private static let mapKeys = ["region", "base", "byte_order", "registers", "blocks", "name"]
    private static let blockKeys = [
        "name", "offset", "count", "stride", "registers", "blocks",
    ]
    private static let registerKeys = [
        "name", "description", "offset", "width", "access", "write", "read_effect", "reset",
        "count",
        "stride", "fields",
    ]
    private static let fieldKeys = [
        "name", "description", "bits", "access", "write", "read_effect", "values", "range", "only",
    ]

    private static let accesses: [String: RegisterAccess] = [
        "rw": .readWrite, "ro": .readOnly, "wo": .writeOnly, "w1": .writeOnce,
        "rw1": .readWriteOnce,
    ]
    private static let effects: [String: WriteEffect] = [
        "1c": .oneToClear, "1s": .oneToSet, "1t": .oneToToggle, "0c": .zeroToClear,
        "0s": .zeroToSet, "0t": .zeroToToggle, "clear": .clear, "set": .set,
    ]

    static func convert(_ node: YAMLNode, _ path: String) throws(MapError) -> RegisterMap {
        let root = try YAMLReader(node, path, "a map", mapKeys)
        var map = RegisterMap(path: path)
        var budget = RegisterMap.largest
        map.region = try root.text("region")
        map.base = try root.number("base") ?? 0
        map.isBigEndian = try root.word("byte_order", ["little": false, "big": true]) ?? false
        map.top.registers = try registers(root, &budget)
        map.top.blocks = try blocks(root, &budget)
        return map
    }

    private static func name(_ item: YAMLReader, _ what: String) throws(MapError) -> String {
        guard let name = try item.text("name") else { throw item.fail("\(what) without a name") }
        return name
    }

    /// Elements of an array: names and offsets.
    private static func elements(
        _ item: YAMLReader, _ name: String, stride: UInt64, cost: Int, _ budget: inout Int
    ) throws(MapError) -> [(name: String, offset: UInt64)] {
        let count = try item.number("count")
        let step = try item.number("stride") ?? stride
        guard count.map({ (1...XMLConverter.longestArray).contains($0) }) ?? true else {
            throw item.fail("count is 1 to \(XMLConverter.longestArray)", "count")
        }
        let size = Int(count ?? 1)  // fits: checked
        let (total, overflow) = size.multipliedReportingOverflow(by: cost)
        budget -= overflow ? .max : total
        guard budget >= 0 else {
            throw item.fail("more than \(RegisterMap.largest) registers and fields")
        }
        guard let count else { return [(name, 0)] }
        guard step > 0 else { throw item.fail("count without a stride", "count") }
        return (0..<count).map {
            (ArrayName.element(name, "\($0)"), $0.multipliedClamped(by: step))
        }
    }

    private static func blocks(
        _ parent: YAMLReader, _ budget: inout Int
    ) throws(MapError) -> [RegisterBlock] {
        var all: [RegisterBlock] = []
        for node in try parent.list("blocks") {
            let item = try YAMLReader(node, parent.path, "a block", blockKeys)
            let name = try name(item, "a block")
            let before = budget
            var block = RegisterBlock(name: name)
            block.registers = try registers(item, &budget)
            block.blocks = try blocks(item, &budget)
            let offset = try item.number("offset") ?? 0
            let cost = before - budget + 1
            budget = before
            for element in try elements(item, name, stride: 0, cost: cost, &budget) {
                block.name = element.name
                block.offset = offset.addingClamped(element.offset)
                all.append(block)
            }
        }
        return all
    }

    private static func registers(
        _ parent: YAMLReader, _ budget: inout Int
    ) throws(MapError) -> [Register] {
        var all: [Register] = []
        for node in try parent.list("registers") {
            let item = try YAMLReader(node, parent.path, "a register", registerKeys)
            let name = try name(item, "a register")
            guard let offset = try item.number("offset") else {
                throw item.fail("\(name): a register without an offset")
            }
            let width = try item.number("width") ?? 32
            guard [8, 16, 32, 64].contains(width) else {
                throw item.fail("\(name): width is 8, 16, 32 or 64", "width")
            }
            var register = Register(name: name, offset: offset, width: width / 8)
            register.summary = try item.text("description") ?? ""
            register.access = try item.word("access", accesses) ?? .readWrite
            register.effect = try item.word("write", effects) ?? .none
            register.readHasEffect = try item.flag("read_effect")
            register.reset = try item.number("reset")
            guard width == 64 || (register.reset ?? 0) >> width == 0 else {
                throw item.fail("\(name): reset does not fit the register", "reset")
            }
            for field in try item.list("fields") {
                register.fields.append(try self.field(field, of: register, parent.path))
            }
            let cost = 1 + register.fields.count
            for element in try elements(item, name, stride: width / 8, cost: cost, &budget) {
                register.name = element.name
                register.offset = offset.addingClamped(element.offset)
                all.append(register)
            }
        }
        return all
    }

    private static func field(
        _ node: YAMLNode, of register: Register, _ path: String
    ) throws(MapError) -> RegisterField {
        let item = try YAMLReader(node, path, "a field", fieldKeys)
        let name = try name(item, "a field")
        let ends = (try item.text("bits") ?? "").split(separator: ":").map { MapNumber.parse($0) }
        guard let high = ends.first ?? nil, let low = ends.last ?? nil, ends.count <= 2,
            low <= high,
            high < register.width * 8
        else {
            throw item.fail("\(name): bits are N or HIGH:LOW, below \(register.width * 8)", "bits")
        }
        var field = RegisterField(name: name, lowest: low, width: high - low + 1)
        field.summary = try item.text("description") ?? ""
        field.access = try item.word("access", accesses) ?? register.access
        field.effect = try item.word("write", effects) ?? register.effect
        field.readHasEffect = try item.flag("read_effect")
        field.isNamedOnly = try item.flag("only")
        if let text = try item.text("range") {
            let ends = text.split(separator: "-").map { MapNumber.parse($0) }
            guard ends.count == 2, let least = ends[0], let most = ends[1], least <= most else {
                throw item.fail("\(name): a range is LEAST-MOST", "range")
            }
            field.range = least...most
        }
        if let values = item["values"] {
            guard case .map(let pairs, _) = values else {
                throw item.fail("\(name): values are NAME: NUMBER", "values")
            }
            for (key, value) in pairs {
                guard case .text(let text, let line) = value, let number = MapNumber.parse(text)
                else {
                    throw MapError(path, line: value.line, "\(name): \(key) is no number")
                }
                guard high - low >= 63 || number >> (high - low + 1) == 0 else {
                    throw MapError(path, line: line, "\(name): \(key) does not fit the field")
                }
                field.values.append(RegisterValue(name: key, value: number))
            }
        }
        return field
    }
}
