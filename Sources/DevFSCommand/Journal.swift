import DevFS
import Glibc
import SystemPackage

/// systemd's journal, for what a server in the background has to say: its errors, refused commands,
/// the text of a trap.
enum Journal {
    private static let socket = "/run/systemd/journal/stdout"
    /// Bytes that wait for journald; beyond them lines are lost, and nobody waits.
    private static let room: CInt = 1 << 20

    /// A stream whose lines are entries of `devfs`; nil where there is no journal.
    /// `sd_journal_stream_fd(3)`
    static func connect() -> FileDescriptor? {
        guard let stream = try? Syscalls.connect(to: socket) else { return nil }
        // Identifier, unit, priority (notice), whether lines bring their own, and where else they go.
        let header = "devfs\n\n5\n0\n0\n0\n0\n"
        guard (try? stream.writeAll(Array(header.utf8))) != nil else {
            try? stream.close()
            return nil
        }
        Syscalls.setRoom(stream, room)
        try? Syscalls.setNonBlocking(stream)
        return stream
    }
}
