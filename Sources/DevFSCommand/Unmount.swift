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
            server ends with the last open file. --force ends the server, too, where other mount \
            namespaces or clients keep it: their files answer with `Transport endpoint is not connected`.

            EXAMPLE
              devfs unmount /mnt/dma
            """,
        aliases: ["umount"])

    @Argument(
        help: ArgumentHelp("The mount point, or any path below it.", valueName: "mount"),
        completion: Completions.mounts)
    var path: String

    @OptionGroup
    var answers: AnswerOptions

    @Flag(name: [.short, .long], help: "Detach at once, even if files are open.")
    var lazy = false

    @Flag(name: [.short, .long], help: "Detach at once and end the server, even if it is in use.")
    var force = false

    func validate() throws {
        if lazy && force { throw ValidationError("--lazy leaves the server what --force ends.") }
    }

    func run() throws {
        let entry = try Mounts.toUnmount(path)
        let server = lazy ? nil : Answers.Server(of: entry)
        try entry.detach(isLazy: lazy || force)
        guard let server else { return }
        if force {
            // It would start the next one.
            if let keeper = Keeper.process(of: server.pid) { Syscalls.kill(keeper, SIGTERM) }
            return try Self.end(server.handle)
        }
        if try Self.hasEnded(server.handle, within: Answers.milliseconds) { return }
        let holders = MountHolder.of(entry)
        var why = "it is unmounted, but the server still runs"
        if !holders.isEmpty {
            why += ": other mount namespaces have the mount, too, of "
            why += MountHolder.list(holders)
        }
        why +=
            server.isStopped
            ? "; it is stopped: `kill -CONT \(server.pid)` lets it end"
            : "; `kill \(server.pid)` ends it"
        throw Failure("unmounting \(entry.mountpoint)", why, status: .timedOut)
    }

    private static func hasEnded(_ server: FileDescriptor, within limit: Int32) throws -> Bool {
        try attempting("waiting for the server") {
            try Syscalls.poll(server, POLLIN, timeout: limit) > 0
        }
    }

    /// Asks it to end, and makes it end: what it serves loses nothing by that.
    private static func end(_ server: FileDescriptor) throws {
        for signal in [SIGTERM, SIGKILL] {
            // It may have ended meanwhile, which the next look shows.
            do {
                try Syscalls.signal(server, signal)
            } catch Errno.noSuchProcess {}
            if try hasEnded(server, within: max(Answers.milliseconds / 2, 1)) { return }
        }
        throw Failure("ending the server", "it does not end", status: .timedOut)
    }
}
