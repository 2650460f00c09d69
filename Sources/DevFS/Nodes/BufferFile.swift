import Synchronization
import SystemPackage

/// An open `buffers/NAME`.
public final class BufferFile: BackedFile {
    let buffer: Buffer
    private let table: BufferTable
    private let log: CommandLog
    private let memory: BufferMemory
    private let isClosed = Atomic(false)

    init(_ buffer: Buffer, in table: BufferTable, log: CommandLog) throws(Errno) {
        self.buffer = buffer
        self.table = table
        self.log = log
        memory = try table.acquire(buffer, as: .handle)
    }

    /// By which a passthrough registration is shared.
    var inode: Inode { Node.buffer(buffer.id).inode }
    /// A regular file that is the memory.
    public var descriptor: CInt { memory.descriptor.raw }
    /// A write has to pass the server, which keeps the size.
    public var guardsSize: Bool { buffer.traits.heap.isFixed && !table.backend.keepsFixedSize }

    private func size() throws(Errno) -> UInt64 { try Syscalls.status(of: descriptor).size }

    public func read(
        at offset: UInt64, size: Int, parked: (any ParkedRead)?
    ) throws(Errno) -> ReadResult? {
        let status = try Syscalls.status(of: descriptor)
        let end = status.size
        guard offset < end else { return .end }
        let count = Int(min(UInt64(size), end - offset))
        // From a mapping a hole would get memory by being read.
        if table.backend.readStrategy == .mapping && !status.isSparse {
            let mapping = try memory.mapping(of: Int(end))
            return .memory(mapping, Int(offset)..<Int(offset) + count)
        }
        return .bytes(try Syscalls.bytes(of: descriptor, at: offset, count: count)[...])
    }

    /// A read to where the reply is sent from: how many bytes were there.
    func read(into room: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        unsafe try Syscalls.read(descriptor, into: room, at: offset)
    }

    public func write(
        _ bytes: UnsafeRawBufferPointer, at offset: UInt64, by caller: Caller
    ) throws(Errno) -> Int {
        var part = unsafe bytes
        if buffer.traits.heap.isFixed {
            let end = try size()
            guard offset < end else {
                throw log.add(
                    buffer.sizedOnce(end), command: "write at \(offset)".utf8,
                    file: "buffers/\(buffer.name)", by: caller)
            }
            unsafe part = UnsafeRawBufferPointer(
                rebasing: bytes.prefix(Int(min(UInt64(bytes.count), end - offset))))
        }
        guard offset <= UInt64(Int64.max) - UInt64(bytes.count) else { throw .fileTooLarge }
        return unsafe try table.backend.write(part, to: descriptor, at: offset)
    }

    /// `fsync(2)`: what the cpu wrote is for the device.
    public func sync() throws(Errno) {
        let size = try size()
        guard size > 0 else { return }
        try table.backend.sync(
            buffer.description, 0..<size, direction: buffer.traits.direction, for: .device)
    }

    /// `fallocate(2)` by its mode.
    public func allocate(
        _ mode: AllocationMode, _ range: Range<UInt64>, by caller: Caller
    ) throws(Errno) {
        let end = try size()
        switch mode {
        case .grow:
            do throws(Refusal) {
                if range.lowerBound < end {
                    try table.backend.populate(descriptor, range.clamped(to: 0..<end))
                }
                if range.upperBound > end {
                    try table.resize(buffer, to: range.upperBound, handles: 1)
                }
            } catch {
                throw log.add(
                    error, command: "fallocate \(range.upperBound)".utf8,
                    file: "buffers/\(buffer.name)", by: caller)
            }
        case .keepSize:
            guard range.upperBound <= end else { throw .notSupported }
        case .zero:
            try table.backend.zero(descriptor, range.clamped(to: 0..<end))
        }
    }

    /// The kernel's DMA_BUF_IOCTL_SYNC on the file itself, linux/dma-buf.h.
    public func dmaBufSync(_ flags: UInt64) throws(Errno) {
        let readWrite = flags & 3
        // DMA_BUF_SYNC_READ 1, WRITE 2, END 4
        guard flags & ~7 == 0, readWrite != 0 else { throw .invalidArgument }
        let size = try size()
        let target: SyncTarget = flags & 4 == 0 ? .cpu : .device
        let directions: [UInt64: Direction] = [1: .fromDevice, 2: .toDevice, 3: .bidirectional]
        if size > 0 {
            try table.backend.sync(
                buffer.description, 0..<size, direction: directions[readWrite] ?? .bidirectional,
                for: target)
        }
        buffer.changeSync { $0.owner = target }
    }

    public func close() {
        guard !isClosed.exchange(true, ordering: .relaxed) else { return }
        table.release(buffer, as: .handle)
    }
}

/// What `fallocate(2)` is asked for.
public enum AllocationMode: Sendable {
    case grow
    case keepSize
    case zero
}
