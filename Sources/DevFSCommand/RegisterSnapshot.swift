import DevFS
import FoundationEssentials
import SystemPackage

/// The values of registers at one time, as a file has them.
struct RegisterSnapshot: Codable {
    struct Entry: Codable, Equatable {
        var value: String
        var fields: [String: String]
    }

    var source: String
    /// By path. What can't be read is not there.
    var registers: [String: Entry]

    init(_ records: [RegisterRecord], of tree: RegisterTree) {
        source = tree.tree.mount.source
        registers = [:]
        for record in records {
            guard let value = record.value else { continue }
            let fields = record.fields.filter { $0.value != nil }.map { ($0.name, $0.shown) }
            registers[record.path] = Entry(
                value: value, fields: Dictionary(fields, uniquingKeysWith: { first, _ in first }))
        }
    }

    init(file: String) throws {
        let text = try attempting("reading \(file)") { try Files.text(of: file) }
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(text.utf8))
        } catch {
            throw Failure("reading \(file)", "it is no snapshot of `devfs registers --snapshot`")
        }
    }

    /// Path, value before, value after: of fields where the register has some.
    func changes(to new: RegisterSnapshot) -> [[String]] {
        Set(registers.keys).union(new.registers.keys).sorted().flatMap { path -> [[String]] in
            let (before, after) = (registers[path], new.registers[path])
            if before == after { return [] }
            guard let before, let after else {
                return [[path, before?.value ?? "-", after?.value ?? "-"]]
            }
            let names = Set(before.fields.keys).union(after.fields.keys).sorted()
                .filter { before.fields[$0] != after.fields[$0] }
            guard !names.isEmpty else { return [[path, before.value, after.value]] }
            return names.map {
                ["\(path)/\($0)", before.fields[$0] ?? "-", after.fields[$0] ?? "-"]
            }
        }
    }
}

/// Writes back what a snapshot has, where it is different and a write does no more than that.
struct RegisterRestore {
    private let tree: RegisterTree
    private let snapshot: RegisterSnapshot

    init(_ tree: RegisterTree, _ file: String) throws {
        self.tree = tree
        snapshot = try RegisterSnapshot(file: file)
        for path in snapshot.registers.keys {
            guard !path.isEmpty, path.split(separator: "/").allSatisfy({ Name($0) != nil }) else {
                throw Failure("reading \(file)", "'\(path)' is no path of a register")
            }
        }
    }

    /// - Throws: where a register of the snapshot is not there.
    func run() throws {
        var missing = 0
        let place = tree.place.isEmpty ? "" : tree.place + "/"
        for (path, entry) in snapshot.registers.sorted(by: { $0.key < $1.key })
        where (path + "/").hasPrefix(place) {
            guard let info = tree.tree.optionalText("registers/\(path)/info") else {
                missing += 1
                Terminal.complain("\(path): no such register")
                continue
            }
            var record = RegisterRecord(path, info: info)
            try record.readAgain(in: tree)
            guard record.value != entry.value else { continue }
            try restore(record, entry)
        }
        guard missing == 0 else { throw Failure.silent(.failed) }
    }

    private func restore(_ record: RegisterRecord, _ entry: RegisterSnapshot.Entry) throws {
        let written = record.fields.filter { $0.access != "read-only" }
        let isPlain =
            record.fields.isEmpty
            ? record.access == "read-write" && record.write == nil
            : written.allSatisfy(\.isPlain) && !written.isEmpty
        if isPlain && !record.readEffect && record.value != nil {
            return try write(entry.value, to: "\(record.path)/value")
        }
        let fields = record.fields.filter { field in
            field.value != nil && entry.fields[field.name].map { $0 != field.shown } ?? false
        }
        for field in fields where field.isPlain && !record.readEffect {
            try write(entry.fields[field.name] ?? "", to: "\(record.path)/\(field.name)")
        }
        let left = fields.filter { !$0.isPlain || record.readEffect }
        if !left.isEmpty || fields.isEmpty {
            let names = left.isEmpty ? "" : ": " + left.map(\.name).joined(separator: " ")
            Terminal.complain("\(record.path): left as it is\(names)")
        }
    }

    private func write(_ value: String, to path: String) throws {
        try tree.tree.write(value, to: "registers/\(path)", for: "restoring \(path)")
        try Output.line("\(path) \(value)")
    }
}
