import DevFS
import Glibc

/// Writes back what a snapshot has, where it is different and a write does no more than that.
///
/// The whole of it is checked first, without an access: nothing is written of a snapshot that can't be
/// restored.
struct RegisterRestore {
    private let tree: RegisterTree
    /// What is to be restored, in order, each as the tree tells of it.
    private var records: [(record: RegisterRecord, entry: RegisterSnapshot.Entry)] = []

    /// - Throws: where the snapshot is of another device, or has what the tree does not have or take.
    init(_ tree: RegisterTree, _ file: String, force: Bool) throws {
        self.tree = tree
        let what = "reading \(file)"
        let snapshot = try RegisterSnapshot(file: file, isRegular: true)
        guard force || snapshot.source == tree.tree.mount.source else {
            throw Failure(
                what,
                "it is a snapshot of \(snapshot.source), not of \(tree.tree.mount.source): "
                    + "--force restores it all the same")
        }
        for path in snapshot.registers.keys {
            guard !path.isEmpty, path.split(separator: "/").allSatisfy({ Name($0) != nil }) else {
                throw Failure(what, "'\(path)' is no path of a register")
            }
        }
        var isWrong = false
        let place = tree.place.isEmpty ? "" : tree.place + "/"
        for (path, entry) in snapshot.registers.sorted(by: { $0.key < $1.key })
        where (path + "/").hasPrefix(place) {
            // A read that fails would look for its reason in the log, each time.
            let place = "registers/\(path)/info"
            guard Syscalls.isAccessible(tree.tree.path(place), F_OK),
                let info = tree.tree.optionalText(place)
            else {
                Terminal.complain("\(path): no such register")
                isWrong = true
                continue
            }
            let record = RegisterRecord(path, info: info)
            if let why = Self.fault(record, entry) {
                Terminal.complain("\(path): \(why)")
                isWrong = true
            }
            records.append((record, entry))
        }
        if isWrong { throw Failure(what, "nothing is restored") }
    }

    /// Why a register can't have had that value, or can't be given it.
    private static func fault(
        _ record: RegisterRecord, _ entry: RegisterSnapshot.Entry
    ) -> String? {
        let bits = record.width.prefix { $0.isNumber }
        let words =
            record.width.ranges(of: "words=").first
            .map { record.width[$0.upperBound...] } ?? "1"
        let width = (UInt64(bits) ?? 0).multipliedClamped(by: UInt64(words) ?? 0)
        guard entry.value.hasPrefix("0x"),
            let value = UInt64(entry.value.dropFirst(2), radix: 16),
            width >= 64 || value >> width == 0
        else { return "'\(entry.value)' is no value of \(width) bits" }
        for (name, text) in entry.fields.sorted(by: { $0.key < $1.key }) {
            guard let field = record.fields.first(where: { $0.name == name }) else {
                return "it has no field \(name)"
            }
            guard number(text) == field.bits(of: value) else {
                return "\(name) is '\(text)', which is not what \(entry.value) has there"
            }
            guard
                isWhole(record) || !isRestored(field, of: record)
                    || number(text).map(field.takes) == true
            else { return "\(name) does not take \(text)" }
        }
        return nil
    }

    private static func number(_ text: String) -> UInt64? {
        text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
    }

    /// - Throws: where a write fails.
    func run() throws {
        for (record, entry) in records {
            var record = record
            if !record.readEffect { try record.readAgain(in: tree) }
            guard record.value != entry.value else { continue }
            try restore(record, entry)
        }
    }

    /// A write of the whole register gives it its value back, and does nothing else.
    private static func isWhole(_ record: RegisterRecord) -> Bool {
        let written = record.fields.filter { $0.access != "read-only" }
        let isPlain =
            record.fields.isEmpty
            ? record.access == "read-write" && record.write == nil
            : written.allSatisfy(\.isPlain) && !written.isEmpty
        return isPlain && !record.readEffect
    }

    /// A write of the field alone does.
    private static func isRestored(
        _ field: RegisterRecord.Field, of record: RegisterRecord
    ) -> Bool {
        field.isPlain && !record.readEffect
    }

    private func restore(_ record: RegisterRecord, _ entry: RegisterSnapshot.Entry) throws {
        if Self.isWhole(record) && record.value != nil {
            return try write(entry.value, to: "\(record.path)/value")
        }
        let fields = record.fields.filter { field in
            field.value != nil && entry.fields[field.name].map { $0 != field.shown } ?? false
        }
        for field in fields where Self.isRestored(field, of: record) {
            try write(entry.fields[field.name] ?? "", to: "\(record.path)/\(field.name)")
        }
        let left = fields.filter { !Self.isRestored($0, of: record) }
        if !left.isEmpty || fields.isEmpty {
            let names = left.isEmpty ? "" : ": " + left.map(\.name).joined(separator: " ")
            Terminal.complain("\(record.path): left as it is\(names)")
        }
    }

    /// Always a number, which no name of a value can be.
    private func write(_ value: String, to path: String) throws {
        try tree.tree.write(value, to: "registers/\(path)", for: "restoring \(path)")
        try Output.line("\(path) \(value)")
    }
}
