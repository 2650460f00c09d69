import Synchronization
import SystemPackage

/// An open `buffers/NAME`.
final class BufferFile: BackedFile {
    let buffer: Buffer
    private let table: BufferTable
    private let log: CommandLog
    private let memory: BufferMemory
    private let backend: any Backend
    /// A regular file that is the memory.
    let descriptor: CInt
    private let isFixed: Bool
    /// Whether a write has to know the size.
    private let asksForSize: Bool
    private let repliesFromMapping: Bool
    private let opener: Caller
    private let isDirect = Atomic(false)
    private let isClosed = Atomic(false)

    init(
        _ buffer: Buffer, inode: Inode, in table: BufferTable, log: CommandLog, by opener: Caller
    ) throws(Errno) {
        self.inode = inode
        self.opener = opener
        self.buffer = buffer
        self.table = table
        self.log = log
        memory = try table.acquire(buffer, as: .handle)
        backend = table.backend
        descriptor = memory.descriptor.raw
        isFixed = buffer.traits.heap.isFixed
        asksForSize = isFixed || !backend.keepsFixedSize
        // A page that a mapping has to get first is EIO for the client where the server is killed
        // meanwhile (fuse_dev_do_write in fs/fuse/dev.c).
        repliesFromMapping =
            backend.readStrategy == .mapping && !table.keepsUsed.load(ordering: .relaxed)
        if buffer.isOfOthers { table.useOfOthers.enter(inode) }
    }

    /// By which a passthrough registration is shared.
    let inode: Inode
    /// A write has to pass the server, which keeps the size.
    var guardsSize: Bool { (isFixed && !backend.keepsFixedSize) || backend.seesGrowth }

    /// A buffer of a fixed size has holes: a mapping of it took its memory away.
    var lacksMemory: Bool {
        isFixed && ((try? Syscalls.extent(of: descriptor))?.isSparse ?? false)
    }

    private func size() throws(Errno) -> UInt64 { try Syscalls.status(of: descriptor).size }

    func read(
        at offset: UInt64, size: Int, parked: (any ParkedRead)?
    ) throws(Errno) -> ReadResult? {
        var bytes: [UInt8] = []
        unsafe try lend(at: offset, size: size) { bytes = unsafe Array($0) }
        return .bytes(bytes[...])
    }

    /// Lends up to `size` bytes of the buffer to `body`, from where they are if that can be; how many.
    /// This is the path of the bytes where there is no passthrough: it counts no reference,
    /// takes no lock and allocates nothing where it lends from a mapping.
    @discardableResult @inline(__always)
    func lend(
        at offset: UInt64, size: Int, to body: (UnsafeRawBufferPointer) -> Void
    ) throws(Errno) -> Int {
        let (end, isSparse) = try Syscalls.extent(of: descriptor)
        guard offset < end else {
            unsafe body(UnsafeRawBufferPointer(start: nil, count: 0))
            return 0
        }
        let count = min(size, Int(truncatingIfNeeded: end &- offset))
        // From a mapping a hole would get memory by being read.
        guard repliesFromMapping && !isSparse else {
            let bytes = try Syscalls.bytes(of: descriptor, at: offset, count: count)
            unsafe bytes.withUnsafeBytes(body)
            return bytes.count
        }
        let length = Int(truncatingIfNeeded: end)
        // Unretained: `memory` is there as long as this file.
        let mapped = unsafe Unmanaged.passUnretained(memory)._withUnsafeGuaranteedRef {
            unsafe $0.mapped(length)
        }
        let base =
            if let mapped = unsafe mapped {
                unsafe mapped
            } else {
                unsafe try memory.base(of: length)
            }
        let start = unsafe base + Int(truncatingIfNeeded: offset)
        unsafe body(UnsafeRawBufferPointer(start: start, count: count))
        return count
    }

    /// A read to where the reply is sent from: how many bytes were there.
    func read(into room: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        unsafe try Syscalls.read(descriptor, into: room, at: offset)
    }

    var readsWait: Bool { buffer.isForeign }
    /// One that entered the buffer does not: see `BufferOperations.write`.
    func writesWait(_ count: Int) -> Bool { true }
    var lane: BufferID? { buffer.id }

    /// The kernel has the memory by this open file, and so have its mappings when it is closed.
    /// - Parameter writes: pass the server, too, which must not wait for them to end.
    func passesBy(writes: Bool) {
        buffer.outside()
        if writes && !isDirect.exchange(true, ordering: .relaxed) {
            buffer.enterDirectWriter()
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        guard offset <= UInt64(Int64.max) - UInt64(bytes.count) else { throw .fileTooLarge }
        if asksForSize {
            let (end, isSparse) = try Syscalls.extent(of: descriptor)
            // What has its memory takes none.
            if offset + UInt64(bytes.count) <= end && !isSparse {
                return unsafe try Syscalls.write(bytes, to: descriptor, at: offset)
            }
        }
        let part = isFixed ? unsafe try fitting(bytes, at: offset) : unsafe bytes
        return try table.reclaim.roomyWrite { () throws(Errno) in
            try chargeGrowth(to: offset + UInt64(part.count))
            return unsafe try backend.write(part, to: descriptor, at: offset)
        }
    }

    @inline(never)
    private func chargeGrowth(to end: UInt64) throws(Errno) {
        let size = try size()
        guard end > size else { return }
        do throws(Refusal) {
            try buffer.charge(end)
        } catch {
            throw log.add(
                error, command: "write up to \(end)".utf8, file: "buffers/\(buffer.name)",
                by: opener)
        }
    }

    /// What of `bytes` has room in a buffer that does not grow.
    @inline(never)
    private func fitting(
        _ bytes: UnsafeRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> UnsafeRawBufferPointer {
        let end = try size()
        guard offset < end else {
            throw log.add(
                buffer.sizedOnce(end), command: "write at \(offset)".utf8,
                file: "buffers/\(buffer.name)", by: opener)
        }
        return unsafe UnsafeRawBufferPointer(
            rebasing: bytes.prefix(Int(min(UInt64(bytes.count), end - offset))))
    }

    /// `fsync(2)`: what the cpu wrote is for the device.
    func sync() throws(Errno) {
        let size = try size()
        guard size > 0 else { return }
        try backend.sync(
            descriptor, 0..<size, direction: buffer.traits.direction, for: .device)
    }

    /// `fallocate(2)` by its mode.
    func allocate(
        _ mode: AllocationMode, _ range: Range<UInt64>, by caller: Caller
    ) throws(Errno) {
        let end = try size()
        switch mode {
        case .grow:
            do throws(Refusal) {
                if range.lowerBound < end {
                    try table.reclaim.roomy { () throws(Refusal) in
                        try backend.populate(descriptor, range.clamped(to: 0..<end))
                    }
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
            try backend.zero(descriptor, range.clamped(to: 0..<end))
        }
    }

    /// The kernel's DMA_BUF_IOCTL_SYNC on the file itself, linux/dma-buf.h.
    func dmaBufSync(_ flags: UInt64) throws(Errno) {
        let readWrite = flags & 3
        // DMA_BUF_SYNC_READ 1, WRITE 2, END 4
        guard flags & ~7 == 0, readWrite != 0 else { throw .invalidArgument }
        let size = try size()
        let target: SyncTarget = flags & 4 == 0 ? .cpu : .device
        // The device does no more with the buffer than its direction allows.
        let direction: Direction =
            switch (buffer.traits.direction, readWrite) {
            case (.bidirectional, 1): .fromDevice
            case (.bidirectional, 2): .toDevice
            case (let direction, _): direction
            }
        if size > 0 {
            try backend.sync(descriptor, 0..<size, direction: direction, for: target)
        }
        buffer.changeSync { $0.owner = target }
    }

    func close() {
        guard !isClosed.exchange(true, ordering: .relaxed) else { return }
        if isDirect.load(ordering: .relaxed) {
            buffer.leaveDirectWriter()
        }
        table.release(buffer, as: .handle)
        if buffer.isOfOthers { table.useOfOthers.leave(inode) }
    }
}

/// What `fallocate(2)` is asked for.
enum AllocationMode: Sendable {
    case grow
    case keepSize
    case zero
}
