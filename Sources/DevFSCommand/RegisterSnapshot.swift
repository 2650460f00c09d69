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

    /// Bytes of a file at the most, which may be a pipe that never ends.
    static let longest = 256 << 20

    /// - Parameter isRegular: a pipe or a device is refused.
    init(file: String, isRegular: Bool = false) throws {
        let bytes = try attempting("reading \(file)") {
            try Self.contents(file, isRegular: isRegular)
        }
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(bytes))
        } catch {
            throw Failure("reading \(file)", "it is no snapshot of `devfs registers --snapshot`")
        }
    }

    private static func contents(_ path: String, isRegular: Bool) throws -> [UInt8] {
        let file = try Files.open(path, .readOnly, options: isRegular ? .nonBlocking : [])
        return try file.closeAfter {
            guard try !isRegular || Stat(file).type == .regular else {
                throw Failure("reading \(path)", "it is no regular file")
            }
            return try Files.bytes(of: file, atMost: longest)
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
