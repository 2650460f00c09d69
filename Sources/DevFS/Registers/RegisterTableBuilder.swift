import SystemPackage

/// Makes a `RegisterTable` of maps: checks what they say, leaves out what can't be had and says why.
struct RegisterTableBuilder {
    /// A map, and where it is.
    struct Placed {
        var map: RegisterMap
        var port: UInt8
        /// Added to the map's addresses, modulo 2^64, after its base is taken away.
        var offset: UInt64
        /// Bytes of the region; nil where they are not known yet.
        var size: UInt64?
    }

    /// Blocks in blocks.
    static let depth = 32
    /// Warnings that are kept.
    private static let loquacity = 1000

    private var parts = RegisterTable.Parts()
    private var places: [String: UInt32] = ["": 0]
    private var fieldSets: [[RegisterTable.Field]: UInt32] = [:]
    private var valueSets: [SetKey: UInt32] = [SetKey(set: RegisterTable.ValueSet(), values: []): 0]
    private var warnings: [String] = []
    private var count = 0
    /// Those that were accepted.
    private var registers = 0
    private var effects = ReadEffects()

    private struct SetKey: Hashable {
        var set: RegisterTable.ValueSet
        var values: [RegisterTable.Named]
    }

    /// What has been checked, and is not numbered yet.
    private final class Draft {
        var name: String
        var summary = ""
        var children: [Draft] = []
        var item: RegisterTable.Item?

        init(_ name: String) { self.name = name }
    }

    private init() {}

    /// - Throws: EINVAL where there is nothing in a map, E2BIG where there is too much.
    static func table(of maps: [Placed]) throws(SetupError) -> RegisterTable {
        var builder = RegisterTableBuilder()
        let top = Draft("")
        for placed in maps {
            let before = builder.registers
            builder.warnings += placed.map.warnings
            try builder.fill(top, placed.map.top, at: placed.map.top.offset, placed)
            guard builder.registers > before else {
                let why = builder.warnings.first.map { "; \($0)" } ?? ""
                throw SetupError(
                    "reading \(placed.map.path)", .invalidArgument,
                    hint: "no register of it can be had\(why)")
            }
        }
        builder.number(top)
        builder.spreadEffects()
        return RegisterTable(builder.parts, warnings: builder.warnings)
    }

    // MARK: Checks

    private mutating func warn(_ placed: Placed, _ what: String, _ why: String) {
        guard warnings.count < Self.loquacity else { return }
        warnings.append("\(placed.map.path): \(what): \(why)")
    }

    private mutating func admit(_ more: Int, _ placed: Placed) throws(SetupError) {
        count += more
        guard count <= RegisterMap.largest else {
            throw SetupError(
                "reading \(placed.map.path)", .argListTooLong,
                hint: "more than \(RegisterMap.largest) registers and fields")
        }
    }

    /// - Parameter address: as the map counts.
    private mutating func fill(
        _ draft: Draft, _ block: RegisterBlock, at address: UInt64, _ placed: Placed,
        depth: Int = 0, path: String = ""
    ) throws(SetupError) {
        guard depth < Self.depth else {
            throw SetupError(
                "reading \(placed.map.path)", .tooManySymbolicLinkLevels,
                hint: "blocks in blocks, more than \(Self.depth) deep, at \(path)")
        }
        try admit(1, placed)
        for register in block.registers {
            let name = path + register.name
            let item: RegisterTable.Item
            do throws(Refusal) {
                let offset = try Self.offset(
                    of: register, at: address.addingClamped(register.offset), placed)
                effects.note(register, at: offset, port: placed.port)
                try RegisterNames.check(register.name)
                item = try self.item(register, at: offset, name, placed)
            } catch {
                warn(placed, name, "\(error.why): left out")
                continue
            }
            try admit(1 + Int(item.count), placed)
            registers += 1
            let child = Draft(RegisterNames.fileName(register.name))
            child.summary = register.summary
            child.item = item
            draft.children.append(child)
        }
        for below in block.blocks {
            let child = Draft(RegisterNames.fileName(below.name))
            try fill(
                child, below, at: address.addingClamped(below.offset), placed, depth: depth + 1,
                path: "\(path)\(below.name)/")
            guard !child.children.isEmpty else { continue }
            do throws(Refusal) {
                try RegisterNames.check(below.name)
                draft.children.append(child)
            } catch {
                warn(placed, path + below.name, "\(error.why): left out")
            }
        }
    }

    /// Bytes from the region's start. The addresses of a map do not wrap; what the mount option adds
    /// to them does, since that is how it is taken away.
    private static func offset(
        of register: Register, at address: UInt64, _ placed: Placed
    ) throws(Refusal) -> UInt64 {
        let more = (max(register.words, 1) - 1).multipliedClamped(by: 4)
        let last = more.addingClamped(max(register.width, 1) - 1)
        guard address < .max, !address.addingReportingOverflow(last).overflow else {
            throw .invalid("its address is beyond 64 bits")
        }
        guard address >= placed.map.base else {
            throw .invalid("0x\(String(address, radix: 16)) is before the region's base")
        }
        return placed.offset &+ (address - placed.map.base)
    }

    private mutating func item(
        _ register: Register, at offset: UInt64, _ name: String, _ placed: Placed
    ) throws(Refusal) -> RegisterTable.Item {
        guard [1, 2, 4, 8].contains(register.width) else {
            throw .invalid("\(register.width) bytes are no access: 1, 2, 4 or 8")
        }
        let bytes = register.width.multipliedClamped(by: register.words)
        guard register.words > 0, bytes <= 8, register.words == 1 || register.width <= 4 else {
            throw .invalid("it is wider than 64 bits")
        }
        let length = (register.words - 1) * 4 + register.width
        let (end, overflow) = offset.addingReportingOverflow(length)
        guard !overflow, end <= placed.size ?? UInt64(Int64.max) else {
            throw .invalid("0x\(String(offset, radix: 16)) is beyond the region")
        }
        guard offset.isMultiple(of: register.width) else {
            throw .invalid("0x\(String(offset, radix: 16)) is no multiple of its width")
        }
        var item = RegisterTable.Item(
            name: 0, summary: 0, parent: 0, entry: 0, first: 0, count: 0, offset: offset,
            reset: register.reset ?? 0, port: placed.port, width: UInt8(register.width),
            words: UInt8(register.words), traits: register.access.rawValue,
            effect: register.effect.number)
        if register.reset != nil { item.traits |= RegisterTable.Item.hasReset }
        if register.readHasEffect { item.traits |= RegisterTable.Item.readHasEffect }
        if placed.map.isBigEndian { item.traits |= RegisterTable.Item.isBigEndian }
        item.reset &= item.bits
        let fields = fields(of: register, bytes * 8, name, placed)
        item.count = UInt32(fields.count)
        item.first = place(fields)
        return item
    }

    /// In order of their names.
    private mutating func fields(
        of register: Register, _ bits: UInt64, _ name: String, _ placed: Placed
    ) -> [RegisterTable.Field] {
        var accepted: [RegisterField] = []
        var (read, written): (UInt64, UInt64) = (0, 0)
        for field in register.fields {
            do throws(Refusal) {
                try RegisterNames.check(field.name)
            } catch {
                warn(placed, "\(name)/\(field.name)", "\(error.why): left out")
                continue
            }
            guard field.width >= 1, field.width <= bits, field.lowest <= bits - field.width else {
                warn(placed, "\(name)/\(field.name)", "its bits are not in the register: left out")
                continue
            }
            let own = RegisterTable.mask(field.width) << field.lowest
            // One that is read may have the bits of another one that is written.
            guard !(field.access.reads && read & own != 0),
                !(field.access.writes && written & own != 0)
            else {
                warn(placed, "\(name)/\(field.name)", "it overlaps another field: left out")
                continue
            }
            if field.access.reads { read |= own }
            if field.access.writes { written |= own }
            accepted.append(field)
        }
        let names = RegisterNames.distinct(
            accepted.map { RegisterNames.fileName($0.name) },
            besides: [RegisterTable.valueName, RegisterTable.infoName])
        return zip(accepted, names).sorted { $0.1 < $1.1 }.map { field, name in
            RegisterTable.Field(
                name: place(name), summary: place(RegisterNames.summary(field.summary)),
                set: set(of: field),
                lowest: UInt8(field.lowest), width: UInt8(field.width),
                access: field.access.rawValue, effect: field.effect.number,
                readHasEffect: field.readHasEffect)
        }
    }

    // MARK: Places

    private func text(_ place: UInt32) -> String {
        let start = Int(place) + 1  // fits: 32 bits
        return String(
            decoding: parts.texts[start..<(start + Int(parts.texts[start - 1]))], as: UTF8.self)
    }

    private mutating func place(_ text: String) -> UInt32 {
        let next = UInt32(parts.texts.count)
        // One look-up: a large map has a text for each field.
        let place = { (slot: inout UInt32?) in
            if slot == nil { slot = next }
            return slot ?? next
        }(&places[text])
        guard place == next else { return place }
        parts.texts.append(UInt8(text.utf8.count))
        parts.texts += text.utf8
        return place
    }

    private mutating func place(_ fields: [RegisterTable.Field]) -> UInt32 {
        if let present = fieldSets[fields] { return present }
        let place = UInt32(parts.fields.count)
        parts.fields += fields
        fieldSets[fields] = place
        return place
    }

    private mutating func set(of field: RegisterField) -> UInt32 {
        let most = RegisterTable.mask(field.width)
        let fitting = field.values.filter { $0.value <= most }.prefix(4096)
        var set = RegisterTable.ValueSet()
        var values: [RegisterTable.Named] = []
        // A name that is only written can be that of another value when it is read.
        for isWritten in [false, true] {
            let part = fitting.filter { ($0.use == .write) == isWritten }
            guard !part.isEmpty else { continue }
            let taken = isWritten ? Set(values.filter(\.use.writes).map { text($0.name) }) : []
            let names = RegisterNames.distinct(
                part.map { RegisterNames.fileName($0.name) }, besides: taken)
            for (value, name) in zip(part, names) {
                values.append(.init(value: value.value, name: place(name), use: value.use))
                let length = RegisterTable.listed(name, value.value).utf8.count
                set.lengths[value.use] += UInt32(length + (set.lengths[value.use] > 0 ? 1 : 0))
            }
        }
        if let range = field.range { (set.least, set.most) = (range.lowerBound, range.upperBound) }
        set.isNamedOnly = field.isNamedOnly && !values.isEmpty
        let key = SetKey(set: set, values: values)
        if let present = valueSets[key] { return present }
        set.first = UInt32(parts.values.count)
        set.count = UInt32(values.count)
        parts.values += values
        let number = UInt32(parts.sets.count)
        parts.sets.append(set)
        valueSets[key] = number
        return number
    }

    // MARK: Numbers

    /// Puts what is in each block together, by name, and numbers it all.
    private mutating func number(_ top: Draft) {
        var queue: [Draft] = [top]
        parts.items = [Self.block(parent: 0)]
        var next = 0
        while next < queue.count {
            let draft = queue[next]
            if draft.item == nil {
                let names = RegisterNames.distinct(draft.children.map(\.name))
                for (child, name) in zip(draft.children, names) { child.name = name }
                parts.items[next].first = UInt32(queue.count)
                parts.items[next].count = UInt32(draft.children.count)
                for child in draft.children.sorted(by: { $0.name < $1.name }) {
                    var item = child.item ?? Self.block(parent: 0)
                    item.parent = UInt32(next)
                    item.name = place(child.name)
                    item.summary = place(RegisterNames.summary(child.summary))
                    parts.items.append(item)
                    queue.append(child)
                }
                draft.children = []
            }
            next += 1
        }
        var entry: UInt32 = 0
        for index in parts.items.indices {
            parts.items[index].entry = entry
            entry +=
                parts.items[index].isRegister
                ? RegisterTable.fixed + parts.items[index].count : 1
        }
        parts.items = Array(parts.items)
    }

    private mutating func spreadEffects() {
        effects.merge()
        for index in parts.items.indices
        where parts.items[index].isRegister && effects.touch(parts.items[index]) {
            parts.items[index].traits |= RegisterTable.Item.readHasEffect
        }
    }

    private static func block(parent: UInt32) -> RegisterTable.Item {
        RegisterTable.Item(
            name: 0, summary: 0, parent: parent, entry: 0, first: 0, count: 0, offset: 0, reset: 0,
            port: .max, width: 0, words: 0, traits: 0, effect: 0)
    }
}
