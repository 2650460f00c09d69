import CFuse
import Glibc
import Logging
import SystemPackage

/// A mounted device: mounts when it is made, serves in `run`.
///
/// *Safety*: the session pointer is libfuse's; it is made in `init`, used by `run` and given back
/// in `deinit`, all on one thread.
@safe package final class Server {
    let session: Session
    let fuse: OpaquePointer
    /// As the kernel named it when it was mounted.
    let mountpoint: String
    private let options: MountOptions
    private let sandbox: Sandbox
    /// Nil where fusermount3 mounted it.
    private let mount: KernelMount?
    /// Nil where the mount ends with the server.
    private let succession: Succession?
    private let log: Logger

    private static let noPassthrough = SetupError(
        "mounting with passthrough", .notSupported,
        hint: "it needs libfuse 3.17, kernel 6.9 and CAP_SYS_ADMIN; see devfs doctor")

    /// Threads that libfuse may start.
    private static let threads: UInt32 = 10

    /// Makes or adopts the device, cleans up after a server that died, and mounts.
    ///
    /// - Parameters:
    ///   - source: `memory:NAME`, `memory` for `memory:default`, a node of the kernel module, or
    ///     `vfio:ADDRESS`.
    ///   - mountpoint: an absolute path of a directory.
    ///   - maps: of the options' `registers`, in that order.
    ///   - isVerbose: says on stderr when it is mounted and unmounted, too.
    ///   - journal: where messages go in place of stderr, once it is switched on.
    /// - Throws: what could not be had, and why.
    package init(
        source: String, mountpoint: String, options: MountOptions, maps: [RegisterMap] = [],
        isVerbose: Bool = false, journal: JournalSocket? = nil, succession: Succession? = nil
    ) throws(SetupError) {
        self.options = options
        self.succession = succession
        if succession != nil { try Self.checkKeeping(source, options) }
        var log = Logger(label: "devfs") { _ in ServerLog(journal) }
        log.logLevel = isVerbose ? .info : .notice
        log[metadataKey: "device"] = "\(source == "memory" ? "memory:default" : source)"
        log[metadataKey: "mountpoint"] = "\(mountpoint)"
        self.log = log
        // Sent to who holds a lease that somebody breaks, and fatal by default.
        Syscalls.ignore(signal: SIGIO)
        // Beyond RLIMIT_FSIZE: EFBIG for the one client instead.
        Syscalls.ignore(signal: SIGXFSZ)
        // Modes are given where files are made; a stricter umask than usual would shut others out of
        // the socket's directory.
        Syscalls.setUmask(0o022)
        if options.ioUring && !options.poll {
            throw SetupError(
                "mounting with io_uring and no_poll", .invalidArgument,
                hint: "with io_uring no read waits, so that wait and data have to be polled")
        }
        if options.ioUring && !cfuse_has_io_uring() {
            throw SetupError(
                "mounting with io_uring", .notSupported,
                hint: "it needs libfuse 3.18 and kernel 6.14")
        }
        if options.passthrough == true && !cfuse_has_passthrough() {
            throw Self.noPassthrough
        }
        sandbox = try Sandbox(options, source: source, mountpoint: mountpoint)
        let backend = try Self.backend(source, options, succession)
        if options.passthrough == true && !backend.allowsPassthrough {
            throw Self.noPassthrough
        }
        // One with another ABI is refused by the backend.
        if backend is KernelBackend, let module = DevFSVersion.ofModule(),
            module != DevFSVersion.text
        {
            log.notice("the loaded module is \(module), this is \(DevFSVersion.text): devfs doctor")
        }
        // Held until it is mounted, so that of two servers at once on one directory one is told.
        let isNew = succession?.isFirst ?? true
        let claim = isNew ? try Self.claim(mountpoint, source: backend.source, log) : nil
        self.mountpoint = claim?.place.path ?? mountpoint
        let registers = try Self.registers(options, maps, backend, log)
        // Every open buffer takes a descriptor.
        try? Syscalls.raiseDescriptorLimit()
        let tree: FileSystem
        do throws(Errno) {
            tree = try FileSystem(
                backend, try Self.treeOptions(options, for: backend), registers: registers,
                ledger: succession?.ledger)
            try tree.openSocket()
        } catch {
            throw SetupError("setting up the tree of \(backend.source)", error)
        }
        tree.log.told.set { [log] told in
            log.notice(
                "\(told.line)",
                metadata: [
                    "pid": "\(told.pid)", "uid": "\(told.uid)", "file": "\(told.file)",
                    "command": "\(told.command)", "errno": "\(told.errno)",
                ])
        }
        session = Session(
            tree,
            .init(
                passthrough: options.passthrough ?? true,
                needsPassthrough: options.passthrough == true, ioUring: options.ioUring,
                poll: options.poll))
        let table = Operations.table(polls: options.poll)
        let userdata = unsafe Unmanaged.passUnretained(session).toOpaque()
        let text = Self.fuseOptions(backend.source, options)
        guard
            let fuse = unsafe withUnsafePointer(
                to: table, { unsafe cfuse_session_new(text, options.ioUring, $0, userdata) })
        else {
            tree.shutDown()
            throw SetupError(
                "starting libfuse with the options \(text)", .invalidArgument,
                hint: "libfuse printed which option it does not know")
        }
        unsafe self.fuse = fuse
        do throws(SetupError) {
            // From here on a signal ends the loop, be it one that has not begun, and with it the
            // mount.
            guard unsafe fuse_set_signal_handlers(fuse) == 0 else {
                throw SetupError("catching signals", .ioError)
            }
            if let claim {
                mount = unsafe try Self.mount(
                    fuse, backend.source, on: claim.place, options, succession)
            } else {
                mount = unsafe try Self.takeOver(fuse, succession)
            }
        } catch {
            tree.shutDown()
            throw error
        }
        let mounted = mount
        tree.mount.withLock { $0 = mounted }
        Self.showFailover(of: tree, succession)
        if let lock = backend.lock?.descriptor { succession?.giveLock(lock.raw) }
        withExtendedLifetime(claim) { unsafe session.attach(fuse) }
    }

    /// As `init`; a memory device that was made for a mount which then failed is removed again.
    package static func make(
        source: String, mountpoint: String, options: MountOptions, maps: [RegisterMap] = [],
        isVerbose: Bool = false, journal: JournalSocket? = nil, succession: Succession? = nil
    ) throws(SetupError) -> Server {
        let isNew = MemoryDevices.isMissing(source)
        do throws(SetupError) {
            return try Server(
                source: source, mountpoint: mountpoint, options: options, maps: maps,
                isVerbose: isVerbose, journal: journal, succession: succession)
        } catch {
            // Refused where another server has it meanwhile.
            if isNew { try? MemoryDevices.remove(source == "memory" ? "default" : source) }
            throw error
        }
    }

    deinit {
        session.detach()
        unsafe fuse_session_destroy(fuse)
    }

    /// A line for people: what is served, where, and how the bytes travel.
    private static func summary(_ tree: FileSystem, on mountpoint: String) -> String {
        let isDirect = tree.features.contains { $0.name == "passthrough" && $0.isThere }
        return "Serving \(tree.backend.source) on \(mountpoint.printable)"
            + (isDirect ? ", zero-copy" : ", through the server")
    }

    /// Serves until the mount is taken away or SIGTERM, SIGINT or SIGHUP comes; buffers stay.
    ///
    /// - Parameters:
    ///   - whenReady: called once, when the kernel has agreed and requests are answered, with a line
    ///     that says what is served.
    ///   - whenEnding: called once, when it serves no more.
    package func run(
        whenReady: @escaping @Sendable (_ summary: String) -> Void = { _ in },
        whenEnding: () -> Void = {}
    ) throws(SetupError) {
        let (tree, place) = (session.tree, mountpoint)
        let isNew = succession?.isFirst ?? true
        session.whenReady { [succession] in
            guard isNew else { return }
            if let succession, succession.ledger.canResend { succession.becomeKeepable() }
            whenReady(Self.summary(tree, on: place))
        }
        log.info("\(session.tree.backend.source) is mounted on \(mountpoint.printable)")
        // Reading maps took many times what is kept of them.
        if session.tree.registers != nil { Syscalls.giveBackMemory() }
        try sandbox.enter(options, source: session.tree.backend.source)
        if !isNew {
            try resume()
            whenReady(Self.summary(tree, on: place))
        }
        let result =
            succession == nil
            ? unsafe cfuse_session_loop(fuse, Self.threads)
            : unsafe cfuse_session_kept_loop(fuse, Self.threads)
        succession?.end()
        whenEnding()
        // Who mounts the device next waits for our end from here on.
        session.tree.backend.lock?.announceEnd()
        // Whoever waits is answered as long as there is a connection to answer on.
        session.end()
        let failure = unmount()
        unsafe fuse_remove_signal_handlers(fuse)
        if let failure { throw failure }
        session.tree.backend.lock?.letGo()
        log.info("\(mountpoint.printable) is unmounted")
        if session.isRefused { throw Self.noPassthrough }
        // A positive number is the signal that ended it, as it should. A request that is being read while
        // the mount is taken away is ECONNABORTED (fuse_dev_do_read in fs/fuse/dev.c).
        if result < 0 && result != -ECONNABORTED {
            throw SetupError("serving \(mountpoint)", Errno(rawValue: -result))
        }
    }

    /// The reason why it is mounted still.
    private func unmount() -> SetupError? {
        guard let mount else {
            unsafe sandbox.unmount(fuse)
            return nil
        }
        do throws(Errno) {
            try mount.remove()
            return nil
        } catch {
            return SetupError(
                "unmounting \(mountpoint)", error,
                hint: "the next devfs mount of this device takes it away")
        }
    }

    // MARK: Setting up

    /// Mounts by descriptor where that is permitted; else by fusermount3, which knows a path alone
    /// and looks that an ordinary user may mount where it leads.
    private static func mount(
        _ fuse: OpaquePointer, _ source: String, on place: Place, _ options: MountOptions,
        _ succession: Succession?
    ) throws(SetupError) -> KernelMount? {
        let attempt = "mounting \(source) on \(place.path)"
        guard Capability.isHeld(Capability.systemAdministration) else {
            guard geteuid() != 0 || place.isStable else {
                throw SetupError(
                    attempt, .permissionDenied,
                    hint: "another user can make it lead elsewhere, and without CAP_SYS_ADMIN "
                        + "fusermount3 would follow him")
            }
            guard unsafe fuse_session_mount(fuse, place.path) == 0 else {
                let error = lastError
                throw SetupError(
                    attempt, error.rawValue == 0 ? .ioError : error,
                    hint: "devfs doctor says what is missing")
            }
            return nil
        }
        let connection = try KernelMount.connection()
        let mount = try KernelMount(
            connection: connection.raw, source: source, on: place, options: options)
        if let succession {
            do throws(SetupError) {
                unsafe try begin(fuse, connection, mount, source, place.path, succession)
            } catch {
                try? mount.remove()
                throw error
            }
            return mount
        }
        // It is libfuse's from now on.
        guard unsafe fuse_session_mount(fuse, "/dev/fd/\(connection.take())") == 0 else {
            try? mount.remove()
            throw SetupError(attempt, .ioError)
        }
        return mount
    }

    private static func backend(
        _ source: String, _ options: MountOptions, _ succession: Succession?
    ) throws(SetupError) -> any Backend {
        if options.dmaBits != nil && !source.hasPrefix("vfio:") {
            throw SetupError(
                "mounting with dma_bits", .invalidArgument,
                hint: "it is for vfio: devfs bind --dma-bits sets those of the module's devices")
        }
        if source.hasPrefix("/") { return try KernelBackend(source) }
        if source.hasPrefix("vfio:") { return try vfio(source, options) }
        let (kind, name) =
            source.firstIndex(of: ":").map {
                (source[..<$0], source[source.index(after: $0)...])
            } ?? (source[...], "default")
        guard kind == "memory" else {
            throw SetupError(
                "opening '\(source)'", .operationNotSupportedByDevice,
                hint: "a source is memory, memory:NAME, a node of the module: /dev/devfs/host, or "
                    + "vfio:ADDRESS")
        }
        guard let valid = Name(name) else {
            throw SetupError(
                "opening '\(source)'", Name.obstacle(name)?.errno ?? .invalidArgument,
                hint: "a name is \(Name.rule)")
        }
        if options.size == 0 {
            throw SetupError("mounting with size=0", .invalidArgument, hint: "give it a size")
        }
        guard let succession, !succession.isFirst else {
            return try MemoryBackend(valid, size: options.size, huge: options.hugePages)
        }
        let used = succession.ledger.usedBuffers.map(\.number)
        return try MemoryBackend(
            valid, size: nil, huge: nil, lock: try succession.takeLock(), keeping: Set(used))
    }

    private static func vfio(
        _ source: String, _ options: MountOptions
    ) throws(SetupError) -> VFIOBackend {
        guard let address = MemoryDevice.address(of: source) else {
            throw SetupError(
                "opening '\(source)'", .invalidArgument,
                hint: "a PCI address is as 0000:00:09.0: devfs list --devices")
        }
        return try VFIOBackend(
            address, size: options.size, huge: options.hugePages, bits: options.dmaBits)
    }

    private static func registers(
        _ options: MountOptions, _ maps: [RegisterMap], _ backend: any Backend, _ log: Logger
    ) throws(SetupError) -> Registers? {
        guard !maps.isEmpty else { return nil }
        let registers = try Registers(
            options.registers, maps, on: backend, backend.hardware,
            allowsReadEffects: options.readEffects)
        let warnings = registers.table.warnings
        for warning in warnings.prefix(10) { log.warning("\(warning.printable)") }
        if warnings.count > 10 { log.warning("and \(warnings.count - 10) more of such") }
        return registers
    }

    private static func treeOptions(
        _ options: MountOptions, for backend: any Backend
    ) throws(Errno) -> TreeOptions {
        var tree = TreeOptions(uid: options.uid ?? getuid(), gid: options.gid ?? getgid())
        tree.forcesUID = options.uid != nil
        tree.forcesGID = options.gid != nil
        tree.umask = UInt32(options.umask)
        tree.allowsOthers = options.allowOther
        tree.isReadOnly = options.readOnly
        for (word, count) in options.quotas {
            if let resource = Quotas.Resource(word: word) { tree.quotas[resource] = count }
        }
        guard let heap = Heap(name: options.heap), backend.heaps.contains(heap),
            heap.isAllocatable
        else { throw .invalidArgument }
        tree.heap = heap
        return tree
    }

    private static func fuseOptions(_ source: String, _ options: MountOptions) -> String {
        var list = ["fsname=\(source)", "subtype=devfs", "default_permissions"]
        if options.allowOther { list.append("allow_other") }
        if options.readOnly && !options.kernelOptions.contains("ro") { list.append("ro") }
        // libfuse has no word for what is the absence of another.
        return (list + options.kernelOptions.filter { $0 != "atime" }).joined(separator: ",")
    }
}
