import SystemPackage

/// An open `regions/NAME` of a device whose registers are reached by calls: a read or write is as many
/// bytes as it came with, as that is the width of the access on the bus. It has no mapping.
final class PortFile: OpenFile {
    private let port: any RegionPort

    init(_ port: any RegionPort) { self.port = port }

    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    {
        .bytes(try port.read(at: offset, count: size)[...])
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        unsafe try port.write(bytes, at: offset)
    }
}
