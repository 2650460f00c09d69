import DevFS

/// `csr.json`, as a build of LiteX leaves it: registers without fields, each of as many words as it
/// needs, with absolute addresses. JSON is YAML, whose parser knows the lines.
enum LiteXMap {
    static func isOne(_ root: YAMLNode) -> Bool {
        root["csr_registers"] != nil || root["csr_bases"] != nil
    }

    static func convert(_ root: YAMLNode, _ path: String) throws(MapError) -> RegisterMap {
        guard let registers = root["csr_registers"] else {
            throw MapError(path, "the file has no csr_registers")
        }
        let bits: UInt64
        if let width = root["constants"]?["config_csr_data_width"] {
            bits = try number(width, "config_csr_data_width", path)
        } else {
            bits = 32
        }
        guard [8, 16, 32].contains(bits) else {
            throw MapError(path, "config_csr_data_width is \(bits); 8, 16 or 32")
        }
        var bases: [String: UInt64] = [:]
        for (name, value) in try pairs(root["csr_bases"], "csr_bases", path) {
            bases[name] = try number(value, name, path)
        }
        var map = RegisterMap(path: path)
        if let base = root["memories"]?["csr"]?["base"] {
            map.base = try number(base, "memories.csr.base", path)
        } else {
            // Without a memory region of that name the first block is at the start.
            map.base = bases.values.min() ?? 0
        }
        let names = bases.keys.sorted { $0.utf8.count > $1.utf8.count }
        var blocks: [String: RegisterBlock] = [:]
        for (name, value) in try pairs(registers, "csr_registers", path) {
            let owner = names.first { name.hasPrefix($0 + "_") }
            let short = owner.map { String(name.dropFirst($0.utf8.count + 1)) } ?? name
            let one = try register(short, value, bits, path)
            guard let owner else {
                map.top.registers.append(one)
                continue
            }
            blocks[owner, default: RegisterBlock(name: owner)].registers.append(one)
        }
        map.top.blocks = blocks.values.sorted { $0.name < $1.name }
        return map
    }

    private static func register(
        _ name: String, _ value: YAMLNode, _ bits: UInt64, _ path: String
    ) throws(MapError) -> Register {
        guard let address = value["addr"], let size = value["size"] else {
            throw MapError(path, line: value.line, "\(name): a register without addr and size")
        }
        var register = Register(
            name: name, offset: try number(address, "\(name).addr", path), width: bits / 8)
        register.words = try number(size, "\(name).size", path)
        if case .text("ro", _)? = value["type"] { register.access = .readOnly }
        return register
    }

    private static func pairs(
        _ node: YAMLNode?, _ what: String, _ path: String
    ) throws(MapError) -> [(key: String, value: YAMLNode)] {
        switch node {
        case nil: return []
        case .map(let pairs, _)?: return pairs
        case .some(let other): throw MapError(path, line: other.line, "\(what) is no object")
        }
    }

    private static func number(
        _ node: YAMLNode, _ what: String, _ path: String
    ) throws(MapError) -> UInt64 {
        guard case .text(let text, _) = node, let number = MapNumber.parse(text) else {
            throw MapError(path, line: node.line, "\(what) is no number")
        }
        return number
    }
}
