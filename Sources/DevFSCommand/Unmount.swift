import ArgumentParser
import DevFS
import Glibc
import SystemPackage

struct UnmountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unmount",
        abstract: "Unmount a tree and wait until its server has ended.",
        discussion: """
            The data of a memory device stay: the next `devfs mount` of it shows the same buffers. \
            A mount whose server died is unmounted as well. A mount that is in use is refused, with \
            `Device or resource busy`; --lazy takes it out of the tree of files at once, and its \
            server ends with the last open file.

            EXAMPLE
              devfs unmount /mnt/dma
            """,
        aliases: ["umount"])

    /// Milliseconds for a server to end after its mount is gone. It takes single ones.
    private static let patience: Int32 = 10_000

    @OptionGroup var mount: MountedPath

    @Flag(name: [.short, .long], help: "Detach at once, even if files are open.")
    var lazy = false

    func run() throws {
        let entry = try Mounts.toUnmount(mount.path)
        let server = lazy ? nil : Self.server(of: entry)
        defer { try? server?.close() }
        try entry.detach(isLazy: lazy)
        guard let server else { return }
        let ended = try attempting("waiting for the server") {
            try Syscalls.poll(server, POLLIN, timeout: Self.patience)
        }
        if ended == 0 {
            let holders = MountHolder.of(entry)
            var why = "it is unmounted, but the server still runs"
            if !holders.isEmpty {
                why += ": other mount namespaces have the mount, too, of "
                why += MountHolder.list(holders)
            }
            throw Failure("unmounting \(entry.mountpoint)", why, status: .timedOut)
        }
    }

    /// A descriptor of the server's process; nil where the server is dead, another user's, or not to
    /// be found out.
    private static func server(of entry: MountEntry) -> FileDescriptor? {
        guard !entry.isStrangers, let address = try? entry.text(of: "control/socket"),
            let socket = try? Syscalls.connect(to: String(address.prefix { $0 != "\n" }))
        else { return nil }
        // The pid cannot become another process's while the server holds the other end.
        defer { try? socket.close() }
        return try? Syscalls.openProcess(try Syscalls.peer(of: socket))
    }
}
