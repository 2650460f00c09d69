import CFuse
import Glibc
import SystemPackage

/// A shared, read-only mapping of a file from its start, unmapped when its last user goes.
///
/// *Safety*: the address and the length never change, and the memory is not touched by this
/// process: it is lent to the kernel, for which a page that was truncated away is EFAULT and
/// not SIGBUS.
@safe package final class Mapping: @unchecked Sendable {
    @unsafe let base: UnsafeRawPointer
    /// Bytes.
    package let count: Int

    /// `mmap(2)` with MAP_SHARED and PROT_READ; `count` must not be 0.
    init(of descriptor: CInt, count: Int) throws(Errno) {
        guard let base = unsafe cfuse_map_shared(descriptor, count) else { throw lastError }
        unsafe self.base = UnsafeRawPointer(base)
        self.count = count
    }

    deinit {
        unsafe munmap(UnsafeMutableRawPointer(mutating: base), count)
    }

    /// A part of the memory, which must lie in the mapping, valid as long as the mapping is.
    @unsafe func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
    }

}
