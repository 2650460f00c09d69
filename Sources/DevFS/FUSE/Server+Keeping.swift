import CFuse
import Glibc
import SystemPackage

/// A server that a keeper starts: the first one of a mount, or one that goes on where the one before
/// it died.
extension Server {
    static func checkKeeping(_ source: String, _ options: MountOptions) throws(SetupError) {
        let attempt = "mounting with keeper"
        if source.hasPrefix("/") || source.hasPrefix("vfio:") {
            throw SetupError(
                attempt, .notSupported, hint: "it keeps memory devices alone: leave it out")
        }
        if options.ioUring {
            throw SetupError(
                attempt, .invalidArgument,
                hint: "requests on an io_uring end with the server: leave one of both out")
        }
        guard Capability.isHeld(Capability.systemAdministration) else {
            throw SetupError(attempt, .notPermitted, hint: "it needs CAP_SYS_ADMIN: mount as root")
        }
    }

    /// The first server: what the next one needs goes to the keeper.
    static func begin(
        _ fuse: OpaquePointer, _ connection: consuming Descriptor, _ mount: KernelMount,
        _ source: String, _ path: String, _ succession: Succession
    ) throws(SetupError) {
        let number = connection.raw
        unsafe try use(connection, in: fuse, succession)
        do throws(Errno) {
            try succession.ledger.setMount(
                .init(id: mount.id, device: mount.device ?? "", source: source, path: path))
        } catch {
            throw SetupError("mounting \(source) on \(path) with keeper", error)
        }
        succession.giveConnection(number)
    }

    private static func use(
        _ connection: consuming Descriptor, in fuse: OpaquePointer, _ succession: Succession
    ) throws(SetupError) {
        unsafe cfuse_session_keep(succession.ledger.start)
        // It is libfuse's from now on.
        guard unsafe fuse_session_mount(fuse, "/dev/fd/\(connection.take())") == 0 else {
            throw SetupError("giving libfuse the connection", .ioError)
        }
    }

    /// A later server has the connection of the one before it.
    static func takeOver(
        _ fuse: OpaquePointer, _ succession: Succession?
    ) throws(SetupError) -> KernelMount? {
        guard let succession, let connection = succession.takeConnection() else {
            throw SetupError("taking the connection over", .badFileDescriptor)
        }
        let own: Descriptor
        do throws(Errno) {
            own = try Syscalls.duplicate(connection.raw)
        } catch {
            throw SetupError("taking the connection over", error)
        }
        unsafe try use(own, in: fuse, succession)
        return KernelMount(succession.ledger.mount)
    }

    /// Goes on with what the kernel has agreed with the first server, and what clients have open.
    func resume() throws(SetupError) {
        let attempt = "going on with \(mountpoint)"
        guard unsafe cfuse_session_adopt(fuse) else {
            throw SetupError(
                attempt, .protocolError,
                hint: "this version agrees with the kernel on other things: mount it again")
        }
        session.adopt()
        do throws(Errno) {
            try session.resume(unsafe fuse_session_fd(fuse))
        } catch .noDevice {
            // Unmounted meanwhile: the loop finds that, too.
        } catch {
            throw SetupError(attempt, error)
        }
    }

    static func showFailover(of tree: FileSystem, _ succession: Succession?) {
        guard let succession else {
            let none: @Sendable () -> Feature = {
                Feature("failover", false, "the mount option keeper asks for it")
            }
            tree.failover.withLock { $0 = none }
            return
        }
        let failover: @Sendable () -> Feature = {
            let why =
                if !succession.ledger.canResend {
                    "the kernel can't send requests again; install kernel 6.9 or newer"
                } else if !succession.isKept {
                    "the keeper has ended"
                } else {
                    ""
                }
            return Feature("failover", why.isEmpty, why)
        }
        tree.failover.withLock { $0 = failover }
        let keeper: @Sendable () -> String = {
            guard succession.isKept else { return "none: it has ended" }
            return "pid \(succession.keeper), this is its server \(succession.ledger.lives)"
        }
        tree.keeper.withLock { $0 = keeper }
    }

    /// What a keeper has to hold for its servers.
    package static func makeLedger() throws(SetupError) -> Descriptor {
        do throws(Errno) {
            return try Ledger.makeFile()
        } catch {
            throw SetupError("making the keeper's ledger", error)
        }
    }

    /// Where the keeper of a device is asked for another program.
    package static func keeperSocket(of source: String) throws(SetupError) -> String {
        let text = source == "memory" ? "default" : source.dropFirst("memory:".utf8.count)
        guard source == "memory" || source.hasPrefix("memory:"), let name = Name(text) else {
            throw SetupError(
                "looking for the keeper of \(source)", .notSupported,
                hint: "it keeps memory devices alone")
        }
        return "\(MemoryDevice(name).path)/keeper"
    }
}
