import DevFS
import Glibc
import SystemPackage

/// A register as its directory in the tree tells of it.
struct RegisterRecord: Encodable {
    struct Field: Encodable {
        var name: String
        var high: UInt64
        var low: UInt64
        var access: String
        /// As the map has it: `oneToClear`.
        var write: String?
        var readEffect = false
        /// Names of values, as they are read.
        var values: [String: UInt64] = [:]
        /// Names that are for writes alone.
        var writeValues: [String: UInt64]?
        /// What can be written, where that is less than fits.
        var range: ClosedRange<UInt64>?
        /// Nothing else can be written.
        var only: Set<UInt64>?
        var description: String?
        var value: UInt64?
        /// The value's name.
        var meaning: String?

        enum CodingKeys: String, CodingKey {
            case name, high, low, access, write, values, description, value, meaning
            case readEffect = "read_effect"
            case writeValues = "write_values"
        }

        /// A write of it alone gives it back the value that it had.
        var isPlain: Bool { access == "read-write" && write == nil && !readEffect }
    }

    /// From `registers/` on.
    var path: String
    var region = ""
    var offset = ""
    var width = ""
    var access = ""
    var write: String?
    var readEffect = false
    var reset: String?
    var description: String?
    var fields: [Field] = []
    /// Nil where it can't be read without an effect, or not at all.
    var value: String?

    enum CodingKeys: String, CodingKey {
        case path, region, offset, width, access, write, reset, description, fields, value
        case readEffect = "read_effect"
    }

    /// - Parameter info: the text of the register's `info`.
    init(_ path: String, info: String) {
        self.path = path
        for line in info.split(separator: "\n") {
            let (word, rest) = Self.cut(line, " ")
            switch word {
            case "region": region = rest
            case "offset": offset = rest
            case "width": width = rest
            case "access": access = rest
            case "write": write = rest
            case "reset": reset = rest
            case "read_effect": readEffect = true
            case "description": description = rest
            case "field": if let field = Self.field(rest) { fields.append(field) }
            default: break
            }
        }
    }

    private static func cut(_ text: Substring, _ mark: String) -> (Substring, String) {
        guard let range = text.ranges(of: mark).first else { return (text, "") }
        return (text[..<range.lowerBound], String(text[range.upperBound...]))
    }

    /// `NAME HIGH:LOW ACCESS [WORD=...]... [- DESCRIPTION]`
    private static func field(_ text: String) -> Field? {
        let (front, description) = cut(text[...], " - ")
        let words = front.split(separator: " ")
        guard words.count >= 3 else { return nil }
        let ends = words[1].split(separator: ":").compactMap { UInt64($0) }
        guard ends.count == 2, ends[0] < 64, ends[1] <= ends[0] else { return nil }
        var field = Field(
            name: String(words[0]), high: ends[0], low: ends[1], access: String(words[2]))
        if !description.isEmpty { field.description = description }
        for word in words.dropFirst(3) {
            let (key, value) = cut(word, "=")
            switch key {
            case "write": field.write = value
            case "read_effect": field.readEffect = true
            case "values", "only", "read_values", "write_values", "only_write":
                var named: [String: UInt64] = [:]
                for pair in value.split(separator: ",") {
                    let (name, number) = cut(pair, ":")
                    named[String(name)] = UInt64(number)
                }
                if key.hasPrefix("only") { field.only = (field.only ?? []).union(named.values) }
                if key.hasSuffix("write_values") || key == "only_write" {
                    field.writeValues = named
                } else {
                    field.values.merge(named) { first, _ in first }
                }
            case "range":
                let ends = value.split(separator: "-").compactMap { UInt64($0) }
                if ends.count == 2, ends[0] <= ends[1] { field.range = ends[0]...ends[1] }
            default: break
            }
        }
        return field
    }

    // MARK: Values

    /// The map lets it be read.
    private var isReadable: Bool {
        access.hasPrefix("read") || fields.contains { $0.access.hasPrefix("read") }
    }

    /// One read of the register, of which all fields are parts. What can't be read is not opened, nor
    /// what has an effect then, unless it is what the caller named: each try would be in the log.
    mutating func readAgain(in tree: RegisterTree) throws {
        let isRead = isReadable && (!readEffect || tree.isNamed(path))
        value = isRead ? try tree.value(of: path) : nil
        let word = value.flatMap { UInt64($0.dropFirst(2), radix: 16) }
        for index in fields.indices {
            let field = fields[index]
            guard let word, field.access.hasPrefix("read") else {
                (fields[index].value, fields[index].meaning) = (nil, nil)
                continue
            }
            let bits = field.bits(of: word)
            fields[index].value = bits
            fields[index].meaning = field.values.filter { $0.value == bits }.keys.min()
        }
    }

    /// `PATH OLD NEW`, of each field that has changed, or of the register where it has none.
    func changes(to new: RegisterRecord) -> [String] {
        if value == new.value { return [] }
        let changed = zip(fields, new.fields).filter { $0.value != $1.value }
        guard !changed.isEmpty else {
            return ["\(path) \(value ?? "-") \(new.value ?? "-")"]
        }
        return changed.map { old, new in "\(path)/\(old.name) \(old.shown) \(new.shown)" }
    }

    // MARK: A table

    static let heading = ["REGISTER", "BITS", "ACCESS", "VALUE", "MEANING", "DESCRIPTION"]

    func rows(withFields: Bool) -> [[String]] {
        let bits = width.prefix { $0.isNumber }
        let own = [
            path, "\(bits)", access, value ?? "-", "\(region)+\(offset)", description ?? "",
        ]
        guard withFields else { return [own] }
        return [own]
            + fields.map { field in
                let bits = field.high == field.low ? "\(field.low)" : "\(field.high):\(field.low)"
                return [
                    "  \(field.name)", bits,
                    field.access + (field.write.map { " \($0)" } ?? ""), field.shown,
                    field.meaning ?? "", field.description ?? "",
                ]
            }
    }
}

extension RegisterRecord.Field {
    /// Its part of the register.
    func bits(of word: UInt64) -> UInt64 {
        let width = high - low + 1
        return word >> low & (width == 64 ? .max : 1 << width - 1)
    }

    /// The tree takes it.
    func takes(_ value: UInt64) -> Bool {
        range?.contains(value) ?? true && only?.contains(value) ?? true
    }

    /// As the field's file shows it.
    var shown: String {
        guard let value else { return "-" }
        return high - low < 8 ? "\(value)" : "0x\(String(value, radix: 16))"
    }
}

/// The registers of a mount, or those of them that were named.
struct RegisterTree {
    let tree: Tree
    /// Below `registers/`; empty for all.
    let place: String
    /// It is one register.
    let isRegister: Bool

    /// - Parameter words: the mount or a path in it, then a register or a block.
    init(_ words: [String]) throws {
        var words = words[...]
        let isInTree = (try? Mounts.containing(".")) != nil
        var first = "."
        if let word = words.first, words.count == 2 || Operands.isPath(word) || !isInTree {
            first = word
            words.removeFirst()
        }
        let tree = try Tree(containing: first)
        self.tree = tree
        var parts = FilePath(try Mounts.absolutePath(first)).components
            .dropFirst(FilePath(tree.mount.mountpoint).components.count).map(\.string)
        if parts.first == "registers" { parts.removeFirst() } else { parts = [] }
        guard try tree.names(in: "").contains("registers") else {
            throw Failure(
                tree.mount.mountpoint, "it has no map of registers: devfs mount -o registers=FILE",
                status: .notFound)
        }
        if let word = words.first { parts += try Self.find(word, below: parts, in: tree) }
        var place = parts.joined(separator: "/")
        func has(_ name: String) -> Bool {
            Syscalls.isAccessible(tree.path("registers/\(place)/\(name)"), F_OK)
        }
        if !place.isEmpty && !Files.isDirectory(tree.path("registers/\(place)")) {
            place = parts.dropLast().joined(separator: "/")
        }
        self.place = place
        isRegister = !place.isEmpty && has("info")
    }

    /// `dma/status`, or `dma.status`: a name may have a dot itself.
    private static func find(
        _ word: String, below parts: [String], in tree: Tree
    ) throws -> [String] {
        for mark: Character in ["/", "."] {
            let names = word.split(separator: mark).map(String.init)
            guard !names.isEmpty, names.allSatisfy({ Name($0) != nil }) else { continue }
            let path = (["registers"] + parts + names).joined(separator: "/")
            if Syscalls.isAccessible(tree.path(path), F_OK) { return names }
        }
        throw Failure(
            word.isEmpty ? "''" : word, "no register or block of that name", status: .notFound)
    }

    /// Each register at the place and below, by path, with its value.
    func records() throws -> [RegisterRecord] {
        var found: [RegisterRecord] = []
        try collect(place, &found)
        return found
    }

    private func collect(_ place: String, _ found: inout [RegisterRecord]) throws {
        let folder = place.isEmpty ? "registers" : "registers/\(place)"
        let names = try tree.names(in: folder).sorted()
        if names.contains("info") && !Files.isDirectory(tree.path("\(folder)/info")) {
            var record = RegisterRecord(place, info: try tree.text("\(folder)/info"))
            try record.readAgain(in: self)
            return found.append(record)
        }
        for name in names { try collect(place.isEmpty ? name : "\(place)/\(name)", &found) }
    }

    /// It is the one register that the caller named, and the mount lets it be read whatever effect
    /// that has.
    func isNamed(_ path: String) -> Bool {
        guard isRegister, path == place,
            let status = try? Stat(FilePath(tree.path("registers/\(path)/value")))
        else { return false }
        return status.permissions.contains(.ownerRead)
    }

    func value(of path: String) throws -> String {
        try tree.doing("reading \(path)") {
            try Files.text(of: tree.path("registers/\(path)/value")).trimmingNewline
        }
    }
}

extension String {
    fileprivate var trimmingNewline: String { last == "\n" ? String(dropLast()) : self }
}
