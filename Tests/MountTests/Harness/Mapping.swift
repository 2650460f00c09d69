import Glibc

/// A shared mapping of a file. mmap(2).
///
/// *Safety*: `base` is mapped for `count` bytes until `deinit`; every access is checked against it.
@safe final class Mapping {
    private let base: UnsafeMutableRawPointer
    let count: Int

    init(
        _ file: OpenFile, count: Int, offset: Int = 0, protection: Int32 = PROT_READ | PROT_WRITE,
        flags: Int32 = MAP_SHARED
    ) throws {
        let address = unsafe mmap(nil, count, protection, flags, file.descriptor, offset)
        guard let address = unsafe address, unsafe address != MAP_FAILED else { throw Errno.last }
        unsafe base = unsafe address
        self.count = count
    }

    deinit {
        _ = unsafe munmap(base, count)
    }

    func load(_ length: Int, at offset: Int) -> [UInt8] {
        precondition(offset >= 0 && length <= count - offset)
        return unsafe Array(UnsafeRawBufferPointer(start: base + offset, count: length))
    }

    func store(_ bytes: [UInt8], at offset: Int) {
        precondition(offset >= 0 && bytes.count <= count - offset)
        unsafe UnsafeMutableRawBufferPointer(start: base + offset, count: bytes.count)
            .copyBytes(from: bytes)
    }

    /// msync(2) of the whole of it.
    func sync() throws {
        _ = try checked { unsafe msync(base, count, MS_SYNC) }
    }
}
