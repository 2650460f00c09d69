import Synchronization
import SystemPackage

/// By which inodes the kernel knows the files of `control/`.
///
/// A write holds the lock of the kernel's inode while it fetches the writer's pages, which may never
/// come. So no two users have one open: whoever looks a file up that somebody has open gets another
/// inode (`Node.handle`). One that he has looked up and nobody has open is given to him again, as the kernel
/// looks up twice what has another one each time.
final class CommandInodes: Sendable {
    private struct State {
        /// The newest of each file, and who has looked it up.
        var newest: [Inode: (inode: Inode, uid: UInt32)] = [:]
        /// Those that are open: by whom, and how often.
        var users: [Inode: (uid: UInt32, count: Int)] = [:]
    }

    /// Keeps an inode to a user, until it is let go of.
    final class Use: Sendable {
        private let inodes: CommandInodes
        private let inode: Inode

        fileprivate init(_ inodes: CommandInodes, _ inode: Inode) {
            self.inodes = inodes
            self.inode = inode
        }

        deinit { inodes.leave(inode) }
    }

    private let state = Mutex(State())

    /// For a look-up of a node; nil where it has no other than its own.
    func inode(of node: Node, by uid: UInt32) -> Inode? {
        // Those of the buffers would be very many.
        guard case .file = node else { return nil }
        return state.withLock { state in
            if let last = state.newest[node.inode], last.uid == uid,
                state.users[last.inode] == nil
            {
                return last.inode
            }
            let fresh = node.handle
            guard fresh != node.inode else { return nil }
            state.newest[node.inode] = (fresh, uid)
            return fresh
        }
    }

    /// Before it is opened.
    /// - Throws: ESTALE where another user has it open: the kernel looks the name up anew.
    func enter(_ inode: Inode, _ uid: UInt32) throws(Errno) -> Use? {
        guard Node.isHandle(inode) else { return nil }
        let isFree = state.withLock { state in
            let now = state.users[inode] ?? (uid, 0)
            guard now.uid == uid else { return false }
            state.users[inode] = (uid, now.count + 1)
            return true
        }
        guard isFree else { throw .staleNFSFileHandle }
        return Use(self, inode)
    }

    private func leave(_ inode: Inode) {
        state.withLock { state in
            guard let now = state.users[inode] else { return }
            state.users[inode] = now.count > 1 ? (now.uid, now.count - 1) : nil
        }
    }
}
