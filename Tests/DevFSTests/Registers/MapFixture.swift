import DevFSMaps
import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// A map of a text, in whatever format.
func registerMap(_ text: String) throws -> RegisterMap {
    try MapFile.parse(Array(text.utf8), "map")
}

/// The table of a map, as if it were of a region of `size` bytes.
func registerTable(_ text: String, size: UInt64 = 1 << 32) throws -> RegisterTable {
    try RegisterTableBuilder.table(of: [
        .init(map: try registerMap(text), port: 0, offset: 0, size: size)
    ])
}

/// What is wrong with a map: file, line and reason as one text. Nil where nothing is.
func fault(_ text: String) -> String? {
    do {
        _ = try registerMap(text)
        return nil
    } catch {
        return "\(error)"
    }
}

/// An SVD file with these peripherals.
func svd(_ peripherals: String, device: String = "") -> String {
    """
    <?xml version="1.0" encoding="utf-8"?>
    <device schemaVersion="1.1"><name>TEST</name>\(device)
    <peripherals>\(peripherals)</peripherals></device>
    """
}

/// An SVD file with one peripheral `P` at 0, which has these registers.
func svd(registers: String, device: String = "") -> String {
    svd(
        "<peripheral><name>P</name><baseAddress>0x0</baseAddress><registers>\(registers)"
            + "</registers></peripheral>", device: device)
}

extension RegisterTable {
    /// An entry by its path.
    func at(_ path: String) -> Entry? {
        path.split(separator: "/").reduce(.block(0) as Entry?) { entry, name in
            entry.flatMap { find(String(name), in: $0) }
        }
    }

    /// A register by its path.
    func register(_ path: String) throws -> Item {
        guard case .register(let item)? = at(path) else {
            throw Errno.noSuchFileOrDirectory
        }
        return items[item]
    }

    /// A field by its path.
    func field(_ path: String) throws -> Field {
        guard case .field(let item, let place)? = at(path) else {
            throw Errno.noSuchFileOrDirectory
        }
        return field(item, place)
    }

    /// `name:value` of each value with a name.
    func names(_ path: String) throws -> [String] {
        names(of: try field(path)).map { "\(text($0.name)):\($0.value)" }
    }

    /// Paths of all registers.
    var paths: [String] {
        items.indices.filter { items[$0].isRegister }.map { path(of: .register($0)) }.sorted()
    }
}

/// A tree with a map of the region `bar0`, and the region.
func withRegisters(
    _ text: String, size: Int = 4096, readEffects: Bool = false,
    _ body: (Client, FakeHardware) throws -> Void
) throws {
    let hardware = try FakeHardware(regions: [("bar0", size, true)])
    try withDevice { device in
        let backend = try device.backend()
        var source = RegisterSource(file: "map")
        source.region = "bar0"
        let registers = try Registers(
            [source], [try registerMap(text)], on: backend, hardware,
            allowsReadEffects: readEffects)
        let tree = try FileSystem(
            backend, TreeOptions(uid: geteuid(), gid: getegid()), hardware: hardware,
            registers: registers)
        defer { tree.shutDown() }
        try body(Client(tree: tree), hardware)
    }
}
