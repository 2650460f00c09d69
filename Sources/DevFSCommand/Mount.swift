import ArgumentParser
import DevFS
import DevFSMaps
import Glibc
import Synchronization
import SystemPackage

struct MountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount",
        abstract: "Mount a device's memory as a file tree.",
        discussion: """
            SOURCE is `memory` or `memory:NAME` (no hardware, no kernel module; the data outlive \
            the server), `/dev/devfs/host`, `/dev/devfs/pci-0000:00:09.0` or `vfio:0000:00:09.0`. \
            Without -f the command returns when the mount answers. A mount whose server died is cleaned up first.

            OPTIONS of -o
              size=64M         limit of a memory device
              uid=U gid=G      owner of the tree and of new buffers; names too
              umask=022        permissions taken from all files, octal
              heap=system      heap of buffers made by cp, truncate, ...: system,
                               contiguous, coherent or reserved
              allow_other      other users can access it, as far as permissions allow
              passthrough      fail where buffers cannot be zero-copy
              no_passthrough   serve buffers by the server in any case
              io_uring         FUSE over io_uring (Linux 6.14)
              no_poll          for clients that use io_uring on buffers: no request
                               polls, and poll(2) finds every file ready
              quota_files=4096 what one user can have of the mount: quota_buffers,
                               quota_bytes, ...: see SECURITY.md
              registers=FILE:REGION    registers by their names, of a map: CMSIS-SVD,
                               IP-XACT, LiteX csr.json or YAML; see devfs-registers(1)
              read_effects     registers can be read whose read has an effect
              keeper           a process that keeps the mount where the server dies, and
                               starts the next one; keeper_crashes=20 a minute at most
              no_sandbox       keep all capabilities and system calls, for debugging
              dma_bits=32      address bits that a device of vfio-pci drives
              huge=always      huge pages: never, always, within_size, advise

            `remount` changes size= and huge= of a memory device, and ro noexec nosuid nodev \
            noatime sync dirsync and their opposites, which are as for mount(8); it names those \
            that it can't change. nofail, _netdev, noauto, user, x-*, comment= and the like are \
            ignored.

            EXAMPLE
              devfs mount memory:lab /mnt/dma -o size=64M,umask=007,allow_other
            """)

    @Argument(
        help: ArgumentHelp("The device.", valueName: "source"), completion: Completions.sources)
    var source: String

    @Argument(help: ArgumentHelp("A directory.", valueName: "mountpoint"), completion: .directory)
    var mountpoint: String

    @Option(
        name: .short, parsing: .singleValue,
        help: ArgumentHelp("Mount options, comma-separated.", valueName: "opt,opt"),
        completion: .list([
            "size=", "uid=", "gid=", "umask=", "heap=", "allow_other", "passthrough",
            "no_passthrough", "keeper", "keeper_crashes=", "io_uring", "no_poll", "no_sandbox",
            "registers=", "read_effects", "dma_bits=",
            "huge=", "quota_buffers=",
            "quota_bytes=", "quota_files=", "ro",
        ]))
    var o: [String] = []

    @Flag(name: [.short, .long], help: "Stay in the foreground.")
    var foreground = false

    @Flag(name: [.short, .long], help: "Ignore unknown mount options, as `mount -s` does.")
    var sloppy = false

    @Option(name: .customLong("ready-descriptor"), help: .private)
    var readyDescriptor: Int32?

    @Option(name: .customLong("kept"), help: .private)
    var kept: Int?

    @Flag(name: .customLong("background"), help: .private)
    var background = false

    func validate() throws {
        guard readyDescriptor.map({ $0 > 2 && foreground }) ?? true else {
            throw ValidationError("--ready-descriptor is not for you")
        }
    }

    func run() throws {
        do {
            try mount()
        } catch var failure as Failure where failure.status == .notFound {
            // To a script "nothing found" is about what is mounted, not about what should be.
            failure.status = .failed
            throw failure
        }
    }

    private func mount() throws {
        let isOwn = foreground && readyDescriptor == nil && kept == nil
        let manager = isOwn ? ServiceManager() : nil
        do {
            try mount(for: manager)
        } catch let error as SetupError {
            manager?.failed(error)
            throw error
        } catch let failure as Failure {
            if !failure.isSilent { manager?.failed(failure.description) }
            throw failure
        }
    }

    private func options() throws -> MountOptions {
        do {
            return try MountOptions.parse(o, isSloppy: sloppy)
        } catch {
            throw Failure(error.attempt, error.errno, detail: error.hint, status: .configuration)
        }
    }

    private func mount(for manager: ServiceManager?) throws {
        let parsed = try options()
        // The server leaves its working directory. It alone looks the path up, once.
        let absolute = try Mounts.unresolvedPath(mountpoint)
        if parsed.isRemount { return try remount(parsed) }
        if let kept { return try serve(at: absolute, parsed, isFirst: kept == 0) }
        if parsed.keeper && (foreground || readyDescriptor != nil) {
            return try keep(at: absolute, parsed, for: manager)
        }
        if let readyDescriptor {
            try serve(at: absolute, parsed, for: FileDescriptor(rawValue: readyDescriptor))
        } else if foreground {
            try serve(at: absolute, parsed, for: manager)
        } else {
            var arguments = ["devfs", "mount", "-f", "--ready-descriptor", "3"]
            if sloppy { arguments.append("--sloppy") }
            for text in o { arguments += ["-o", text] }
            try Daemon.start(arguments + ["--", source, absolute], source, on: mountpoint)
        }
    }

    /// Serves in the foreground, be it for who types or for a manager of services.
    private func serve(
        at mountpoint: String, _ options: MountOptions, for manager: ServiceManager?
    ) throws {
        let journal = JournalSocket.isStandardError ? JournalSocket(isOn: true) : nil
        let server = try Server.make(
            source: source, mountpoint: mountpoint, options: options, maps: try maps(options),
            isVerbose: true, journal: journal)
        try server.run(
            whenReady: { manager?.ready($0) }, whenEnding: { manager?.stopping() })
    }

    /// Before the device is opened or anything is mounted.
    private func maps(_ options: MountOptions) throws -> [RegisterMap] {
        try options.registers.map { try MapFile.read($0.file) }
    }

    /// Keeps the mount by a process of its own, which this one becomes.
    private func keep(
        at mountpoint: String, _ options: MountOptions, for manager: ServiceManager?
    ) throws {
        var report: DaemonReport?
        if let readyDescriptor {
            report = DaemonReport(FileDescriptor(rawValue: readyDescriptor))
            Syscalls.ignore(signal: SIGPIPE)
            try Syscalls.changeDirectory("/")
        }
        let code: Int32
        do {
            code = try Keeper.run(
                options, o, source: source, on: mountpoint, isSloppy: sloppy, for: report,
                manager)
        } catch {
            report?.failed("\(error)")
            throw report == nil ? error : Failure.silent(.failed)
        }
        if code != 0 { throw Failure.silent(.failed) }
    }

    /// Serves for a keeper.
    private func serve(
        at mountpoint: String, _ options: MountOptions, isFirst: Bool
    ) throws {
        let succession = try Succession(isFirst: isFirst)
        let output = background && isFirst ? StandardOutput() : nil
        // The next ones have the first one's output.
        let isJournal = JournalSocket.isStandardError || background && !isFirst
        let entries = output == nil ? isJournal ? JournalSocket(isOn: true) : nil : output?.entries
        do {
            Syscalls.ignore(signal: SIGPIPE)
            let server = try Server.make(
                source: source, mountpoint: mountpoint, options: options,
                maps: try maps(options), isVerbose: !background, journal: entries,
                succession: succession)
            if background { Syscalls.leaveSession() }
            try server.run { summary in
                output?.letGo()
                succession.ready(summary)
            }
        } catch {
            succession.failed("\(error)")
            throw Failure.silent(.failed)
        }
    }

    /// Serves for a parent that waits at the other end of `pipe` for the mount, or for the error.
    private func serve(
        at mountpoint: String, _ options: MountOptions, for pipe: FileDescriptor
    ) throws {
        let report = DaemonReport(pipe)
        let isReady = Atomic(false)
        do {
            // A parent that was killed must not take the mount with it.
            Syscalls.ignore(signal: SIGPIPE)
            // Their paths may be relative.
            let maps = try maps(options)
            try Syscalls.changeDirectory("/")
            let server = try Server.make(
                source: source, mountpoint: mountpoint, options: options, maps: maps,
                journal: report.output.entries)
            // Fails for the leader of a process group, which this is not. Not before it is mounted:
            // systemd's automounts let their own process group pass, and have others wait.
            Syscalls.leaveSession()
            try server.run { _ in
                report.ready()
                isReady.store(true, ordering: .releasing)
            }
        } catch {
            // Once it is ready nobody listens, and the pipe's number may be another file's.
            if !isReady.load(ordering: .acquiring) { report.failed("\(error)") }
            throw Failure.silent(.failed)
        }
    }
}
