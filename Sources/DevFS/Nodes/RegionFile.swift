import Glibc
import Synchronization
import SystemPackage

/// Who has files open of which nothing is kept beyond their use: regions, buffers of others.
final class FileUse: Sendable {
    private let opens = Mutex<[Inode: Int]>([:])
    /// Called when the last open file is closed. With the lock held, so that who opens it
    /// anew comes before or after: it must not wait.
    let idle = Callback<Inode>()

    func enter(_ inode: Inode) {
        opens.withLock { $0[inode, default: 0] += 1 }
    }

    func leave(_ inode: Inode) {
        opens.withLock { opens in
            let left = (opens[inode] ?? 1) - 1
            opens[inode] = left > 0 ? left : nil
            if left == 0 { idle.call(inode) }
        }
    }
}

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
    private static let patience = (attempts: 20, microseconds: UInt32(2500))

    /// - Throws: EBUSY where the other file of the same BAR is open.
    init(
        _ region: Region, of hardware: any Hardware, inode: Inode, use: FileUse
    ) throws(Errno) {
        self.inode = inode
        self.use = use
        // For all who open it, whatever for: the kernel checks each open by its mode.
        let opened = try Self.open(region, hardware)
        descriptor = opened.raw
        file.withLock { $0 = opened }
        use.enter(inode)
    }

    private static func open(
        _ region: Region, _ hardware: any Hardware
    ) throws(Errno) -> SharedDescriptor {
        for _ in 1..<patience.attempts {
            do throws(Errno) {
                return SharedDescriptor(try hardware.open(region, writes: region.isWritable))
            } catch .resourceBusy {
                usleep(patience.microseconds)
            }
        }
        return SharedDescriptor(try hardware.open(region, writes: region.isWritable))
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
