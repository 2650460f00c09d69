import DevFS
import Glibc
import Synchronization
import SystemPackage

/// Who waits for the mount, until it is there.
private let waiting = Mutex<DaemonReport?>(nil)
/// Who manages the keeper as a service.
private let manager = Mutex<ServiceManager?>(nil)

/// A process that keeps a mount, and starts a server for it each time one dies.
enum Keeper {
    /// Becomes it; returns the exit code, when the mount has ended.
    /// - Parameters:
    ///   - options: what `-o` had, each.
    ///   - report: who waits for the mount; nil in the foreground.
    static func run(
        _ parsed: MountOptions, _ options: [String], source: String, on mountpoint: String,
        isSloppy: Bool, for report: DaemonReport?, _ service: ServiceManager?
    ) throws -> Int32 {
        waiting.withLock { $0 = report }
        manager.withLock { $0 = service }
        let socket = try Server.keeperSocket(of: source)
        let ledger = try Server.makeLedger()
        var arguments = ["devfs", "mount", "-f", "--kept", "0"]
        if report != nil { arguments.append("--background") }
        if isSloppy { arguments.append("--sloppy") }
        for text in options { arguments += ["-o", text] }
        arguments += ["--", source, mountpoint]
        return unsafe Syscalls.keep(
            arguments, mode: 4, ledger: ledger.raw, crashes: parsed.keeperCrashes, socket: socket
        ) { type, text in
            Keeper.tell(UInt8(bitPattern: type), unsafe String(cString: text))
        }
    }

    /// The keeper of a server; nil where it has none.
    static func process(of server: pid_t) -> pid_t? {
        guard let status = try? ProcessStatus(ProcessID(server)),
            let parent = status["PPid"].flatMap({ pid_t($0) }),
            (try? ProcessStatus(ProcessID(parent)))?["Name"] == "devfs-keeper"
        else { return nil }
        return parent
    }

    /// What there is to be said: of the server's start to who waits for it, else to the journal.
    private static func tell(_ type: UInt8, _ text: String) {
        switch type {
        case UInt8(ascii: "+"):
            manager.withLock { $0 }?.ready(text)
            let report = waiting.withLock { $0.take() }
            guard let report else { return }
            // Not before it is mounted: see `MountCommand.serve`.
            Syscalls.leaveSession()
            report.ready()
        case UInt8(ascii: "-"):
            manager.withLock { $0 }?.failed(text)
            if let report = waiting.withLock({ $0.take() }) {
                report.failed(text)
            } else {
                Terminal.complain(text)
            }
        default: Terminal.complain(text)
        }
    }
}
