import CFuse
import Glibc
import Synchronization
import SystemPackage

/// Tells when nobody has a file any more that was unlinked: neither a descriptor nor a mapping.
///
/// IN_DELETE_SELF comes when the last of them goes, whoever's it is (fs/dcache.c,
/// dentry_unlink_inode). `inotify(7)`
final class FileEnds: Sendable {
    private let descriptor: Descriptor
    private let actions = Mutex<[CInt: @Sendable () -> Void]>([:])

    /// What has happened is told on the loop's thread.
    init(_ loop: EventLoop) throws(Errno) {
        descriptor = Descriptor(owning: try check { cfuse_inotify() })
        _ = try loop.watch(descriptor.raw) { [weak self] in self?.take() }
    }

    /// Does something once the file has ended. To be called before it is unlinked.
    /// - Throws: ENOSPC where the machine has no watch left (fs.inotify.max_user_watches).
    func watch(_ path: String, _ action: @escaping @Sendable () -> Void) throws(Errno) {
        let number = try check { unsafe cfuse_watch_end(descriptor.raw, path) }
        actions.withLock { $0[number] = action }
    }

    /// Files that are waited for.
    var count: Int { actions.withLock { $0.count } }

    private func take() {
        var numbers = [CInt](repeating: 0, count: 256)
        let count = unsafe cfuse_take_ends(descriptor.raw, &numbers, numbers.count)
        // More than the kernel keeps have ended at once, and it does not say which.
        let ended = count < 0 ? missed() : Array(numbers.prefix(Int(count)))
        for number in ended {
            actions.withLock { $0.removeValue(forKey: number) }?()
        }
    }

    /// The kernel lists the watches that are left. `proc_pid_fdinfo(5)`
    private func missed() -> [CInt] {
        guard let bytes = try? Syscalls.contents(of: "/proc/self/fdinfo/\(descriptor.raw)") else {
            return []
        }
        let left = String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap {
            line in
            line.hasPrefix("inotify wd:")
                ? CInt(line.dropFirst(11).prefix { $0 != " " }, radix: 16) : nil
        }
        return actions.withLock { Array(Set($0.keys).subtracting(left)) }
    }
}
