import Synchronization
import SystemPackage

/// An open `regions/NAME`: registers of the device, by the module's own file.
///
/// A read or write goes down as it came, in one call of the same length, as its length is the width
/// of the access on the bus.
final class RegionFile: BackedFile {
    let inode: Inode
    private let use: FileUse
    private let file = Mutex<SharedDescriptor?>(nil)
    /// Of the descriptor that is kept until `close`.
    let descriptor: CInt

    /// A client's close(2) returns before the kernel has given the file below back, and the two
    /// files of one BAR are not open at once: one that seems to be is looked for again.
    private static let patience = Patience(attempts: 20, microseconds: 2500)

    /// - Throws: EBUSY where the other file of the same BAR is open.
    init(
        _ region: Region, of hardware: any Hardware, inode: Inode, use: FileUse
    ) throws(Errno) {
        self.inode = inode
        self.use = use
        // For all who open it, whatever for: the kernel checks each open by its mode.
        let opened = try Self.patience.retry { () throws(Errno) in
            SharedDescriptor(try hardware.open(region, writes: region.isWritable))
        }
        descriptor = opened.raw
        file.withLock { $0 = opened }
        use.enter(inode)
    }

    let guardsSize = false

    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    {
        .bytes(try Syscalls.bytes(of: descriptor, at: offset, count: size)[...])
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        unsafe try Syscalls.write(bytes, to: descriptor, at: offset)
    }

    func close() {
        guard file.withLock({ $0.take() }) != nil else { return }
        use.leave(inode)
    }
}
