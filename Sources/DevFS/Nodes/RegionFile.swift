import SystemPackage

/// An open `regions/NAME`: registers of the device, by the module's own file.
///
/// A read or write goes down as it came, in one call of the same length, as its length is the width
/// of the access on the bus.
final class RegionFile: BackedFile {
    let inode: Inode
    private let file: Descriptor

    init(_ region: Region, of hardware: any Hardware, inode: Inode) throws(Errno) {
        self.inode = inode
        // Shared by all who open it, whatever for: the kernel checks each open by its mode.
        file = try hardware.open(region, writes: region.isWritable)
    }

    var descriptor: CInt { file.raw }
    let guardsSize = false

    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    {
        .bytes(try Syscalls.bytes(of: descriptor, at: offset, count: size)[...])
    }

    func write(
        _ bytes: UnsafeRawBufferPointer, at offset: UInt64, by caller: Caller
    ) throws(Errno) -> Int {
        unsafe try Syscalls.write(bytes, to: descriptor, at: offset)
    }
}
