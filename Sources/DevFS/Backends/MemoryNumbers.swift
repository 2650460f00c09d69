import Synchronization
import SystemPackage

/// Numbers of buffers, none of which is given twice in the life of a device: file handles and inode
/// numbers of a buffer that is gone must never be another's.
///
/// They are set aside in blocks, by a symbolic link that says where the next block begins, so few of
/// them take a system call. What a server has not used of its block nobody uses.
final class MemoryNumbers: Sendable {
    static let link = "next"
    private static let block: UInt64 = 1024

    private struct State {
        /// The next one; 0 until a block is set aside.
        var next: UInt64 = 0
        var end: UInt64 = 0
        /// The largest that was seen.
        var seen: UInt64 = 0
    }

    /// Held over the link's change, which waits for no client.
    private let state = Mutex(State())

    /// A buffer has it already.
    func see(_ id: BufferID) { state.withLock { $0.seen = max($0.seen, id.number) } }

    /// - Parameter directory: where the link is.
    /// - Throws: ENOSPC where there is none left, or no room for the link.
    func next(in directory: CInt) throws(Errno) -> BufferID {
        let result: Result<BufferID, Errno> = state.withLock { state in
            do throws(Errno) {
                if state.next == state.end {
                    let kept = (try? Syscalls.link(Self.link, at: directory)).flatMap { UInt64($0) }
                    let start = max(1, kept ?? 0, state.seen + 1)
                    // Inode numbers have some more bits.
                    guard start < 1 << 48 - Self.block else { throw .noSpace }
                    try Syscalls.setLink(Self.link, to: "\(start + Self.block)", at: directory)
                    (state.next, state.end) = (start, start + Self.block)
                }
                defer { state.next += 1 }
                return .success(BufferID(state.next))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}
