import Glibc
import SystemPackage

/// Registers or memory of the device, open; closed when its owner goes.
///
/// Each read and each write is one access on the bus, of the width of its type.
public struct Region: ~Copyable, Sendable {
    public let device: Device
    public let name: String
    /// Bytes.
    public let size: Int
    private let file: Descriptor

    fileprivate init(
        _ device: Device, _ name: String, size: Int, _ file: consuming Descriptor
    ) {
        self.device = device
        self.name = name
        self.size = size
        self.file = file
    }

    /// Reads a register: `try bar.read(0x24, as: UInt32.self)`.
    ///
    /// - Parameters:
    ///   - offset: bytes from the start of the region, a multiple of the type's size.
    ///   - type: of 1, 2, 4 or 8 bytes.
    /// - Throws: ``DevFSError``: `invalid` where the address is not aligned or not in the region;
    ///   other errnos of `pread(2)`.
    public func read<Value: FixedWidthInteger & UnsignedInteger>(
        _ offset: Int, as type: Value.Type = UInt32.self
    ) throws(DevFSError) -> Value {
        let what = "reading \(name) at 0x\(String(offset, radix: 16))"
        let place = try check(offset, Value.self, what)
        var value: Value = 0
        let count = try device.doing(what) { () throws(Errno) in
            try unsafe withUnsafeMutableBytes(of: &value) { (room) throws(Errno) in
                unsafe try Calls.read(file.raw, into: room, at: place)
            }
        }
        guard count == MemoryLayout<Value>.size else { throw DevFSError(what, .ioError) }
        return Value(littleEndian: value)
    }

    /// Writes a register: `try bar.write(1, at: 0x60, as: UInt32.self)`.
    ///
    /// - Throws: as ``read(_:as:)``.
    public func write<Value: FixedWidthInteger & UnsignedInteger>(
        _ value: Value, at offset: Int, as type: Value.Type = Value.self
    ) throws(DevFSError) {
        let what = "writing \(name) at 0x\(String(offset, radix: 16))"
        let place = try check(offset, Value.self, what)
        var value = value.littleEndian
        let count = try device.doing(what) { () throws(Errno) in
            try unsafe withUnsafeBytes(of: &value) { (bytes) throws(Errno) in
                unsafe try Calls.write(bytes, to: file.raw, at: place)
            }
        }
        guard count == MemoryLayout<Value>.size else { throw DevFSError(what, .ioError) }
    }

    private func check<Value>(
        _ offset: Int, _ type: Value.Type, _ what: String
    ) throws(DevFSError) -> UInt64 {
        let width = MemoryLayout<Value>.size
        guard [1, 2, 4, 8].contains(width) else {
            throw DevFSError(.invalid, what, "no bus access has \(width) bytes")
        }
        guard let place = UInt64(exactly: offset), offset % width == 0 else {
            throw DevFSError(
                .invalid, what, "an access of \(width) bytes is at a multiple of \(width)")
        }
        guard offset <= size - width else {
            throw DevFSError(.invalid, what, "the region has \(size) bytes")
        }
        return place
    }
}

extension Device {
    /// Names of the device's regions, sorted: `bar0`, `config`. A memory device has none.
    ///
    /// - Throws: ``DevFSError`` of the server.
    public func regions() throws(DevFSError) -> [String] {
        try names(in: "").contains("regions") ? try names(in: "regions") : []
    }

    /// Opens a region.
    ///
    /// - Parameter isWritable: whether it is to be written as well.
    /// - Throws: ``DevFSError``: `notFound`; EACCES; EBUSY while the BAR's other file is open.
    public func region(_ name: String, isWritable: Bool = true) throws(DevFSError) -> Region {
        let name = try self.name(name, of: "region")
        let what = "opening \(name)"
        let file = try doing(what) { () throws(Errno) in
            try Calls.open(path("regions/\(name)"), flags: isWritable ? O_RDWR : O_RDONLY)
        }
        let size = try doing(what) { () throws(Errno) in try Calls.size(of: file.raw) }
        return Region(self, name, size: Int(clamping: size), file)
    }
}
