import CFuse
import Glibc
import SystemPackage

/// Raw calls of servers that follow one another.
extension Syscalls {
    /// The opposite of `claim`, for all who have the open file. `fcntl(2)`, F_OFD_SETLK
    static func unclaim(_ descriptor: CInt) { _ = cfuse_unlock(descriptor) }

    /// A descriptor that this program was started with, for no other that it starts.
    static func inherit(_ number: CInt) -> Descriptor {
        _ = cfuse_fcntl(number, F_SETFD, FD_CLOEXEC)
        return Descriptor(owning: number)
    }

    /// `dup(2)`, for nobody who is started. F_DUPFD_CLOEXEC
    static func duplicate(_ descriptor: CInt) throws(Errno) -> Descriptor {
        Descriptor(owning: try check { cfuse_fcntl(descriptor, F_DUPFD_CLOEXEC, 3) })
    }

    /// What ps(1) shows of this thread. `pthread_setname_np(3)`
    static func nameThread(_ name: String) { unsafe cfuse_name_thread(pthread_self(), name) }

    /// Nothing comes from it, and its other end is there. `poll(2)`
    static func isQuiet(_ descriptor: CInt) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&entry, 1, 0) == 0
    }

    /// Sends all with a descriptor, for who starts servers. `sendmsg(2)`
    package static func give(_ descriptor: CInt, _ bytes: [UInt8], to socket: CInt) -> Bool {
        send(bytes, descriptor: descriptor, to: socket)
    }

    /// Becomes a keeper; returns its exit code. See `cfuse_keep`.
    /// - Parameter mode: the argument that tells a first server from the next ones.
    package static func keep(
        _ arguments: [String], mode: Int32, ledger: CInt, crashes: UInt32, socket: String,
        told: @convention(c) (CChar, UnsafePointer<CChar>) -> Void
    ) -> Int32 {
        // Ends of our children are ours to see, whatever who started us did with the signal.
        _ = Glibc.signal(SIGCHLD, SIG_DFL)
        var texts = unsafe arguments.map { unsafe strdup($0) } + [nil]
        return unsafe texts.withUnsafeMutableBufferPointer { texts in
            unsafe socket.withCString { socket in
                guard let start = texts.baseAddress else { return 1 }
                var wishes = unsafe cfuse_keeper(
                    arguments: start, mode: mode, ledger: ledger, crashes: crashes,
                    socket: socket, told: told)
                return unsafe cfuse_keep(&wishes)
            }
        }
    }
}
