import Synchronization

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
