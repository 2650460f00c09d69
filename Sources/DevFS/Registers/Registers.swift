import Synchronization
import SystemPackage

/// The mount option `registers=`: a map's file, and where its registers are.
package struct RegisterSource: Sendable, Equatable {
    package var file: String
    /// Nil where the map, or the device, has to say it.
    package var region: String?
    /// Of the memory backend, instead of a region.
    package var buffer: String?
    /// Added to the addresses of the map, modulo 2^64; nil is what the map says.
    package var offset: UInt64?

    package init(file: String) { self.file = file }
}

/// The registers of a mount: what there is, and by what they are reached.
final class Registers: Sendable {
    let table: RegisterTable
    let ports: [RegisterPort]
    /// A read that has an effect is done when it is asked for.
    let allowsReadEffects: Bool
    /// Entries that take one write, and had it.
    private let written = Mutex<Set<Int>>([])

    /// - Parameter maps: those of `sources`, in the same order.
    /// - Throws: where a map has no region, or has nothing that can be had.
    init(
        _ sources: [RegisterSource], _ maps: [RegisterMap], on backend: any Backend,
        _ hardware: (any Hardware)?, allowsReadEffects: Bool
    ) throws(SetupError) {
        self.allowsReadEffects = allowsReadEffects
        var ports: [RegisterPort] = []
        var placed: [RegisterTableBuilder.Placed] = []
        for (source, map) in zip(sources, maps) {
            let place = try Self.place(source, map, backend, hardware)
            let index = ports.firstIndex { $0.place == place } ?? ports.count
            guard index < Int(UInt8.max) else {
                throw SetupError(
                    "reading \(map.path)", .invalidArgument, hint: "that many maps are too many")
            }
            if index == ports.count { ports.append(RegisterPort(place, number: index)) }
            var map = map
            var offset: UInt64 = 0
            if let own = source.offset { (map.base, offset) = (0, own) }
            placed.append(
                .init(map: map, port: UInt8(index), offset: offset, size: place.size))
        }
        self.ports = ports
        table = try RegisterTableBuilder.table(of: placed)
    }

    private static func place(
        _ source: RegisterSource, _ map: RegisterMap, _ backend: any Backend,
        _ hardware: (any Hardware)?
    ) throws(SetupError) -> RegisterPort.Place {
        func refusal(_ why: String) -> SetupError {
            SetupError("reading \(map.path)", .invalidArgument, hint: why)
        }
        if let buffer = source.buffer {
            guard backend is any BuslessBackend else {
                throw refusal("a map over a buffer is for the memory device alone")
            }
            guard let name = Name(buffer) else { throw refusal("'\(buffer)' is no buffer's name") }
            return .buffer(name)
        }
        let regions = hardware?.regions ?? []
        let names = regions.map(\.name.text).joined(separator: " ")
        guard !regions.isEmpty else {
            throw refusal("the device has no regions; on a memory device: FILE:memory:BUFFER")
        }
        if let wanted = source.region ?? map.region {
            guard let region = regions.first(where: { $0.name.text == wanted }) else {
                throw refusal("the device has no region \(wanted): it has \(names)")
            }
            return .region(region)
        }
        let candidates = regions.filter { $0.name.text != "config" }
        guard candidates.count == 1, let only = candidates.first else {
            throw refusal("which region is it of? FILE:REGION, one of \(names)")
        }
        return .region(only)
    }

    /// Making a list of so many takes long.
    var isLarge: Bool { table.items.count > 1000 }

    var reads: UInt64 { ports.reduce(0) { $0 + $1.reads.load(ordering: .relaxed) } }
    var writes: UInt64 { ports.reduce(0) { $0 + $1.writes.load(ordering: .relaxed) } }

    /// A write of something that takes one alone: false where it has had it.
    func wasWritten(_ item: Int) -> Bool { written.withLock { $0.contains(item) } }
    func noteWrite(_ item: Int) { written.withLock { _ = $0.insert(item) } }
    /// The device begins anew.
    func forgetWrites() { written.withLock { $0.removeAll() } }
}
