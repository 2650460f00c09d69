/// The registers of a mount as they are looked up: blocks, registers and fields in flat arrays, a
/// name once however many bear it, and a set of fields once however many registers have it.
///
/// Each file and directory has an entry number, the same at each mount of the same maps. What is in
/// one directory stands together, by name, so that a look-up is a binary search.
final class RegisterTable: Sendable {
    /// A block, or a register. 48 bytes.
    struct Item {
        var name: UInt32
        var summary: UInt32
        /// The block that it is in, itself for the top.
        var parent: UInt32
        /// Its own entry number. What is in a register follows.
        var entry: UInt32
        /// Of a block, the items in it; of a register, its fields.
        var first: UInt32
        var count: UInt32
        /// Bytes from the start of the region.
        var offset: UInt64
        var reset: UInt64
        /// Which of the mount's ports; `UInt8.max` for a block.
        var port: UInt8
        var width: UInt8
        var words: UInt8
        /// `RegisterAccess`, and more bits. A read has an effect where that of a byte of it has one.
        var traits: UInt8
        var effect: UInt8

        static let hasReset: UInt8 = 0x10
        static let readHasEffect: UInt8 = 0x20
        static let isBigEndian: UInt8 = 0x40

        var isRegister: Bool { port != .max }
    }

    /// 20 bytes.
    struct Field: Hashable {
        var name: UInt32
        var summary: UInt32
        /// Of `sets`; 0 is no restriction and no names.
        var set: UInt32
        var lowest: UInt8
        var width: UInt8
        var access: UInt8
        var effect: UInt8
        var readHasEffect: Bool
    }

    /// What values of a field are called, and which can be written.
    struct ValueSet: Hashable {
        var first: UInt32 = 0
        var count: UInt32 = 0
        var least: UInt64 = 0
        var most: UInt64 = .max
        var isNamedOnly = false
        /// Bytes of the lists that `info` has of the names, one of each `ValueUse`.
        var lengths = Lengths()

        struct Lengths: Hashable {
            private var both: UInt32 = 0
            private var read: UInt32 = 0
            private var write: UInt32 = 0

            subscript(use: ValueUse) -> UInt32 {
                get {
                    switch use {
                    case .both: both
                    case .read: read
                    case .write: write
                    }
                }
                set {
                    switch use {
                    case .both: both = newValue
                    case .read: read = newValue
                    case .write: write = newValue
                    }
                }
            }
        }
    }

    struct Named: Hashable {
        var value: UInt64
        var name: UInt32
        var use: ValueUse
    }

    /// What an entry number is.
    enum Entry: Equatable {
        case block(Int)
        case register(Int)
        /// In a register: the whole of it, what it is, and a field by its place.
        case value(Int)
        case info(Int)
        case field(Int, Int)
    }

    /// Entries of a register that are no fields: the directory, `value`, `info`.
    static let fixed: UInt32 = 3
    static let valueName = "value"
    static let infoName = "info"

    let items: [Item]
    let fields: [Field]
    let sets: [ValueSet]
    let values: [Named]
    /// Texts, each behind the number of its bytes.
    private let texts: [UInt8]
    /// What was left out, or was given another name, and why.
    let warnings: [String]

    init(_ parts: Parts, warnings: [String]) {
        items = parts.items
        fields = parts.fields
        sets = parts.sets
        values = parts.values
        texts = parts.texts
        self.warnings = warnings
    }

    /// What `RegisterTableBuilder` makes.
    struct Parts {
        var items: [Item] = []
        var fields: [Field] = []
        var sets: [ValueSet] = [ValueSet()]
        var values: [Named] = []
        var texts: [UInt8] = [0]
    }

    var isEmpty: Bool { items.count < 2 }

    /// Bytes that it takes.
    var bytes: Int {
        items.capacity * MemoryLayout<Item>.stride + fields.capacity * MemoryLayout<Field>.stride
            + sets.capacity * MemoryLayout<ValueSet>.stride
            + values.capacity * MemoryLayout<Named>.stride + texts.capacity
    }

    // MARK: Texts

    func text(_ place: UInt32) -> String {
        let start = Int(place)  // fits: 32 bits
        let count = Int(texts[start])
        return String(decoding: texts[(start + 1)..<(start + 1 + count)], as: UTF8.self)
    }

    /// Its bytes.
    func length(ofText place: UInt32) -> Int { Int(texts[Int(place)]) }

    /// Whether a text is before another, byte by byte; nil where they are the same.
    private func isBefore(_ place: UInt32, _ name: String.UTF8View) -> Bool? {
        let start = Int(place)
        let own = texts[(start + 1)..<(start + 1 + Int(texts[start]))]
        if own.elementsEqual(name) { return nil }
        return own.lexicographicallyPrecedes(name)
    }

    /// The place of a name among texts in order.
    private func search(
        _ range: Range<Int>, _ name: String, _ text: (Int) -> UInt32
    ) -> Int? {
        var (low, high) = (range.lowerBound, range.upperBound)
        let name = name.utf8
        while low < high {
            let middle = low + (high - low) / 2
            guard let before = isBefore(text(middle), name) else { return middle }
            if before { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    // MARK: Entries

    /// Nil for a number that none has.
    func entry(_ number: UInt32) -> Entry? {
        var (low, high) = (0, items.count)
        while low + 1 < high {
            let middle = low + (high - low) / 2
            if items[middle].entry <= number { low = middle } else { high = middle }
        }
        guard low < items.count, items[low].entry <= number else { return nil }
        let item = items[low]
        let rest = number - item.entry
        guard item.isRegister else { return rest == 0 ? .block(low) : nil }
        switch rest {
        case 0: return .register(low)
        case 1: return .value(low)
        case 2: return .info(low)
        case Self.fixed..<(Self.fixed + item.count): return .field(low, Int(rest - Self.fixed))
        default: return nil
        }
    }

    func number(of entry: Entry) -> UInt32 {
        switch entry {
        case .block(let item), .register(let item): items[item].entry
        case .value(let item): items[item].entry + 1
        case .info(let item): items[item].entry + 2
        case .field(let item, let place): items[item].entry + Self.fixed + UInt32(place)
        }
    }

    func range(of item: Int) -> Range<Int> {
        Int(items[item].first)..<Int(items[item].first + items[item].count)
    }

    private func directory(_ item: Int) -> Entry {
        items[item].isRegister ? .register(item) : .block(item)
    }

    /// What of that name is in a block or a register.
    func find(_ name: String, in entry: Entry) -> Entry? {
        switch entry {
        case .block(let item):
            return search(range(of: item), name) { items[$0].name }.map(directory)
        case .register(let item):
            if name == Self.valueName { return .value(item) }
            if name == Self.infoName { return .info(item) }
            let range = range(of: item)
            return search(range, name) { fields[$0].name }
                .map { .field(item, $0 - range.lowerBound) }
        case .value, .info, .field: return nil
        }
    }

    /// All that is in a block or a register, by name.
    func list(_ entry: Entry) -> [(name: String, entry: Entry)] {
        switch entry {
        case .block(let item):
            return range(of: item).map { (text(items[$0].name), directory($0)) }
        case .register(let item):
            return [(Self.valueName, .value(item)), (Self.infoName, .info(item))]
                + range(of: item).enumerated().map {
                    (text(fields[$0.element].name), .field(item, $0.offset))
                }
        case .value, .info, .field: return []
        }
    }

    func parent(of entry: Entry) -> Entry {
        switch entry {
        case .block(let item), .register(let item): .block(Int(items[item].parent))
        case .value(let item), .info(let item), .field(let item, _): .register(item)
        }
    }

    /// From the top, with slashes.
    func path(of entry: Entry) -> String {
        switch entry {
        case .block(let item), .register(let item):
            guard item > 0 else { return "" }
            let parent = path(of: .block(Int(items[item].parent)))
            return (parent.isEmpty ? "" : parent + "/") + text(items[item].name)
        case .value(let item): return path(of: .register(item)) + "/" + Self.valueName
        case .info(let item): return path(of: .register(item)) + "/" + Self.infoName
        case .field(let item, let place):
            return path(of: .register(item)) + "/" + text(field(item, place).name)
        }
    }

    func field(_ item: Int, _ place: Int) -> Field { fields[Int(items[item].first) + place] }

    func fields(of item: Int) -> ArraySlice<Field> { fields[range(of: item)] }
}

extension RegisterTable.Item {
    var access: RegisterAccess { RegisterAccess(rawValue: traits & 0xf) ?? .readWrite }
    var readHasEffect: Bool { traits & Self.readHasEffect != 0 }
    var isBigEndian: Bool { traits & Self.isBigEndian != 0 }
    /// What a write does to bits of no field.
    var write: WriteEffect { WriteEffect(number: effect) }
    var knownReset: UInt64? { traits & Self.hasReset != 0 ? reset : nil }
    /// All of its bits.
    var bits: UInt64 { RegisterTable.mask(UInt64(width) * UInt64(words) * 8) }
    /// Hexadecimal digits of a value.
    var digits: Int { Int(width) * Int(words) * 2 }
    /// Bytes from its start to its end.
    var length: UInt64 { UInt64(words - 1) * 4 + UInt64(width) }
}

extension RegisterTable.Field {
    var kind: RegisterAccess { RegisterAccess(rawValue: access) ?? .readWrite }
    var write: WriteEffect { WriteEffect(number: effect) }
    /// The largest value.
    var most: UInt64 { RegisterTable.mask(UInt64(width)) }
    var bits: UInt64 { most << UInt64(lowest) }
}

extension RegisterTable {
    /// So many ones.
    static func mask(_ bits: UInt64) -> UInt64 { bits >= 64 ? .max : (1 << bits) - 1 }
}
