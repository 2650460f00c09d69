import Glibc
import SystemPackage

/// Who has a buffer's memory from now on.
public enum Side: String, Sendable {
    /// The cpu is about to read what the device wrote.
    case cpu
    /// The device is about to read what the cpu wrote, or to write.
    case device
}

/// Which way a buffer's data go.
public enum Direction: String, Sendable {
    case bidirectional
    case toDevice = "to_device"
    case fromDevice = "from_device"
}

/// An open DMA buffer; closed when its owner goes. The memory stays until the buffer is removed.
///
/// ``read(into:at:)`` and ``write(_:at:)`` are coherent by themselves. Memory that is mapped is not:
/// what touches it goes in ``withCPU(_:_:)``.
public struct Buffer: ~Copyable, Sendable {
    public let device: Device
    public let name: String
    private let file: Descriptor

    fileprivate init(_ device: Device, _ name: String, _ file: consuming Descriptor) {
        self.device = device
        self.name = name
        self.file = file
    }

    /// Bytes, as the file has them now.
    ///
    /// - Throws: ``DevFSError`` of `fstat(2)`.
    public var size: Int {
        get throws(DevFSError) {
            Int(
                clamping: try doing("asking the size") { () throws(Errno) in
                    try Calls.size(of: file.raw)
                })
        }
    }

    /// The address that the device has for the buffer's first byte.
    ///
    /// - Throws: ``DevFSError``: ENODATA where it has none, or several (`nents` > 1); EACCES without
    ///   the right to see it.
    public var dmaAddress: UInt64 {
        get throws(DevFSError) {
            let text = try attribute("dma_addr")
            guard let address = UInt64(text.dropFirst(2), radix: 16) else {
                throw DevFSError(.invalid, what("asking the address"), "'\(text)' is none")
            }
            return address
        }
    }

    /// The text of `attributes/NAME/`.
    ///
    /// - Throws: ``DevFSError`` with the errno of the file.
    public func attribute(_ attribute: String) throws(DevFSError) -> String {
        try device.text("attributes/\(name)/\(attribute)")
    }

    /// Reads what the device wrote. `pread(2)`
    ///
    /// - Parameters:
    ///   - bytes: is filled from its start.
    ///   - offset: bytes from the buffer's start.
    /// - Returns: bytes that were read: fewer than there is room for at the buffer's end.
    /// - Throws: ``DevFSError`` with the errno of the call.
    public func read(into bytes: inout MutableRawSpan, at offset: Int = 0) throws(DevFSError) -> Int
    {
        let start = try position(offset)
        return try transfer(bytes.byteCount) { (done) throws(DevFSError) in
            try unsafe bytes.withUnsafeMutableBytes { (room) throws(DevFSError) in
                try doing("reading") { () throws(Errno) in
                    unsafe try Calls.read(
                        file.raw, into: UnsafeMutableRawBufferPointer(rebasing: room[done...]),
                        at: start &+ UInt64(done))
                }
            }
        }
    }

    /// Reads `count` bytes, or those up to the buffer's end.
    ///
    /// - Throws: as ``read(into:at:)``.
    public func read(_ count: Int, at offset: Int = 0) throws(DevFSError) -> [UInt8] {
        guard count >= 0 else { throw DevFSError(.invalid, what("reading"), "\(count) bytes") }
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        let done = try read(into: &raw, at: offset)
        bytes.removeSubrange(done...)
        return bytes
    }

    /// Writes bytes, which the device sees on return. `pwrite(2)`
    ///
    /// - Throws: ``DevFSError``: ENOSPC beyond the end of a buffer of a fixed size, of which the part
    ///   that fits is written first; other errnos of the call.
    public func write(_ bytes: RawSpan, at offset: Int = 0) throws(DevFSError) {
        let start = try position(offset)
        let done = try transfer(bytes.byteCount) { (done) throws(DevFSError) in
            try unsafe bytes.withUnsafeBytes { (bytes) throws(DevFSError) in
                try doing("writing") { () throws(Errno) in
                    unsafe try Calls.write(
                        UnsafeRawBufferPointer(rebasing: bytes[done...]), to: file.raw,
                        at: start &+ UInt64(done))
                }
            }
        }
        if done < bytes.byteCount { throw DevFSError(what("writing"), .noSpace) }
    }

    /// The same of an array.
    ///
    /// - Throws: as ``write(_:at:)``.
    public func write(_ bytes: [UInt8], at offset: Int = 0) throws(DevFSError) {
        try unsafe write(bytes.span.bytes, at: offset)
    }

    /// Maps the buffer's memory itself: no copy is between it and the device.
    ///
    /// - Parameters:
    ///   - range: bytes, from a multiple of the page; nil is the whole buffer.
    ///   - isWritable: whether it can be written as well.
    /// - Throws: ``DevFSError``: ENODEV where the mount has no passthrough; `invalid` for a range
    ///   that is empty, not in the buffer, or does not start at a page.
    public func map(
        _ range: Range<Int>? = nil, isWritable: Bool = true
    ) throws(DevFSError) -> BufferMapping {
        let size = try size
        let range = range ?? 0..<size
        guard !range.isEmpty, range.lowerBound >= 0, range.upperBound <= size,
            range.lowerBound % Int(getpagesize()) == 0
        else {
            throw DevFSError(
                .invalid, what("mapping"),
                "\(range) is no range of pages of the buffer's \(size) bytes")
        }
        let base = unsafe try doing("mapping") { () throws(Errno) in
            try unsafe Calls.map(
                file.raw, at: UInt64(range.lowerBound), count: range.count, isWritable: isWritable)
        }
        return unsafe BufferMapping(base, count: range.count, isWritable: isWritable)
    }

    /// Hands a range of the memory over. Coherent memory needs it no less: it orders the accesses.
    ///
    /// - Parameter range: bytes; nil is the whole buffer.
    /// - Throws: ``DevFSError``: EINVAL for a range that is not in the buffer, with the reason.
    public func sync(for side: Side, _ range: Range<Int>? = nil) throws(DevFSError) {
        var command = "\(name) for_\(side.rawValue)"
        if let range { command += " \(range.lowerBound) \(range.count)" }
        try device.write(command, to: "control/sync", for: what("syncing"))
    }

    /// Gives the memory to the cpu, does `body`, and gives it back to the device, also where `body`
    /// throws.
    ///
    /// - Throws: what `body` throws; ``DevFSError`` as ``sync(for:_:)``.
    public func withCPU<Result: ~Copyable>(
        _ range: Range<Int>? = nil, _ body: () throws -> Result
    ) throws -> Result {
        try sync(for: .cpu, range)
        let result: Result
        do {
            result = try body()
        } catch {
            try? sync(for: .device, range)
            throw error
        }
        try sync(for: .device, range)
        return result
    }

    private func what(_ doing: String) -> String { "\(doing) \(name)" }

    private func doing<Result: ~Copyable>(
        _ what: String, _ body: () throws(Errno) -> Result
    ) throws(DevFSError) -> Result {
        try device.doing(self.what(what), body)
    }

    private func position(_ offset: Int) throws(DevFSError) -> UInt64 {
        guard let position = UInt64(exactly: offset) else {
            throw DevFSError(.invalid, name, "offset \(offset) is negative")
        }
        return position
    }

    /// Repeats a call until it has moved `count` bytes, or moves none.
    private func transfer(
        _ count: Int, _ call: (Int) throws(DevFSError) -> Int
    ) throws(DevFSError) -> Int {
        var done = 0
        while done < count {
            let step = try call(done)
            if step == 0 { break }
            done += step
        }
        return done
    }
}

extension Device {
    /// Makes a buffer and opens it.
    ///
    /// - Parameters:
    ///   - name: 1 to 63 bytes of `A-Za-z0-9._-`, not starting with a dot.
    ///   - bytes: its size; the memory is zero.
    ///   - heap: `system`, `contiguous`, `coherent`, ...; nil is the mount's default.
    /// - Throws: ``DevFSError``: EEXIST where the name is taken; ENOSPC at a heap's limit; other
    ///   errnos of `control/alloc`, all with the reason.
    public func allocate(
        _ name: String, bytes: Int, heap: String? = nil, direction: Direction? = nil
    ) throws(DevFSError) -> Buffer {
        let name = try self.name(name, of: "buffer")
        var command = "\(name) \(bytes)"
        if let heap { command += " heap=\(try self.name(heap, of: "heap"))" }
        if let direction { command += " direction=\(direction.rawValue)" }
        try self.write(command, to: "control/alloc", for: "allocating \(name)")
        return try buffer(name)
    }

    /// Opens a buffer.
    ///
    /// - Parameter isWritable: whether it is to be written as well.
    /// - Throws: ``DevFSError``: `notFound`; EACCES.
    public func buffer(_ name: String, isWritable: Bool = true) throws(DevFSError) -> Buffer {
        let name = try self.name(name, of: "buffer")
        let file = try doing("opening \(name)") { () throws(Errno) in
            try Calls.open(path("buffers/\(name)"), flags: isWritable ? O_RDWR : O_RDONLY)
        }
        return Buffer(self, name, file)
    }

    /// Removes a buffer. Its memory lives until its last user is gone.
    ///
    /// - Throws: ``DevFSError``: `notFound`; EACCES or EPERM to others than its owner.
    public func removeBuffer(_ name: String) throws(DevFSError) {
        let name = try self.name(name, of: "buffer")
        try doing("removing \(name)") { () throws(Errno) in
            try Calls.unlink(path("buffers/\(name)"))
        }
    }
}
