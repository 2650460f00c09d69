import DevFS

/// IP-XACT: the address blocks of the memory maps of a component, as PeakRDL writes them of SystemRDL.
extension XMLConverter {
    mutating func convertComponent() throws(MapError) {
        var blocks: [RegisterBlock] = []
        for memory in root.children(.memoryMap) {
            if let unit = try number(.addressUnitBits, of: memory), unit != 8 {
                throw MapError(path, line: memory.line, "addresses that count \(unit) bits, not 8")
            }
            for item in memory.children(.addressBlock) {
                let base = try number(.baseAddress, of: item) ?? 0
                blocks += try self.blocks(item, at: base, Inherited())
            }
        }
        // The one block of a component is the component, and the region begins where it does.
        if blocks.count == 1, let only = blocks.first {
            map.top = only
            map.top.name = ""
            map.base = only.offset
        } else {
            map.top.blocks = blocks
        }
    }

    /// An address block or a register file: each element of one.
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
            case .register: block.registers += try registers(child, own)
            case .registerFile:
                block.blocks += try blocks(
                    child, at: try number(.addressOffset, of: child) ?? 0, own)
            default: break
            }
        }
        return try repeated(
            block, of: item, stride: try number(.range, of: item) ?? 0, cost: before - budget)
    }

    private mutating func registers(
        _ item: XMLItem, _ above: Inherited
    ) throws(MapError) -> [Register] {
        var own = try inherited(item, above)
        // Of the 2009 edition, of the register as a whole.
        own.reset = try number(.value, of: item)
        var fields: [RegisterField] = []
        var reset: UInt64?
        for child in item.children(.field) {
            guard let lowest = try number(.bitOffset, of: child) else {
                warn(child, "a field without bitOffset: left out")
                continue
            }
            let width = try number(.bitWidth, of: child) ?? 1
            var field = try field(child, lowest: lowest, width: width, own)
            field.values = values(child.children(.enumeratedValues), width: width)
            if let value = try number(.value, of: child), lowest < 64 {
                reset = (reset ?? 0) | value << lowest
            }
            for element in try elements(child, name: child.name, stride: width) {
                var one = field
                one.name = element.name
                one.lowest = lowest.addingClamped(element.offset)
                fields.append(one)
            }
        }
        own.reset = own.reset ?? reset
        return try registers(item, own, fields: fields)
    }
}
