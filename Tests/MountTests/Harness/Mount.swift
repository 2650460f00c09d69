import Dispatch
import Glibc
import Synchronization
import Testing

/// A memory device of its own, mounted for one test.
final class Mount {
    /// `memory:NAME`, unique to this mount.
    let device: String
    /// The mount point.
    let root: String
    /// The directory that holds the mount point and whatever else a test puts there.
    let directory: String
    private(set) var server: Child
    private let options: [String]
    private var watchdog: DispatchWorkItem
    /// The test itself killed the server; otherwise it has to end with 0.
    private var wasKilled = false
    private static let counter = Atomic<Int>(0)

    /// Mounts a new device and waits until the mount answers.
    ///
    /// - Parameters:
    ///   - mode: nil leaves the choice to the server.
    ///   - environment: `NAME=VALUE` for the server.
    init(_ mode: Mode?, _ options: [String], environment: [String] = []) throws {
        _ = Janitor.pid
        let number = Self.counter.add(1, ordering: .relaxed).newValue
        device = "memory:t-\(getpid())-\(number)"
        directory = "\(Janitor.prefix)\(number)"
        root = directory + "/mnt"
        self.options = (mode?.options ?? []) + options.flatMap { ["-o", $0] }
        for path in [directory, root] {
            if unsafe mkdir(path, 0o755) != 0 { throw Errno.last }
        }
        let wrapper = environment.isEmpty ? [] : ["env"] + environment
        server = try Child(wrapper + Self.command(device, root, self.options))
        watchdog = Self.watch(server)
        do {
            try waitUntilItAnswers()
        } catch {
            tearDown()
            throw error
        }
    }

    /// Starts another server on the same device and mount point, after this one has ended.
    func start() throws {
        server = try Child(Self.command(device, root, options))
        wasKilled = false
        watchdog.cancel()
        watchdog = Self.watch(server)
        try waitUntilItAnswers()
    }

    /// Ends the server by `signal`, and waits for its end.
    @discardableResult
    func stop(_ signal: Int32 = SIGTERM) throws -> Output {
        server.signal(signal)
        wasKilled = signal == SIGKILL
        return try server.wait(within: .seconds(10))
    }

    static func command(_ device: String, _ root: String, _ options: [String]) -> [String] {
        [Machine.devfs, "mount", "-f"] + options + [device, root]
    }

    private func waitUntilItAnswers() throws {
        try? Self.note(server.pid, in: directory + "/server.pid")
        let path = root + "/version"
        _ = holds(within: .seconds(20)) { exists(path) || !server.runs }
        guard (try? bytes(of: path)) != nil else {
            server.signal(SIGKILL)
            let output = try server.wait(within: .seconds(5))
            throw CommandFailure(
                description: "the mount does not answer, status \(output.status): \(output.error)")
        }
    }

    private static func note(_ pid: pid_t, in path: String) throws {
        let file = try OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC)
        defer { file.close() }
        try file.write("\(pid)\n")
    }

    /// A server that hangs would hang us with it; without a server each call ends with ENOTCONN.
    private static func watch(_ server: Child) -> DispatchWorkItem {
        let pid = server.pid
        let item = DispatchWorkItem { kill(pid, SIGKILL) }
        DispatchQueue.global().asyncAfter(deadline: .now() + 50, execute: item)
        return item
    }

    /// Unmounts, deletes the device and the directory. False where the server did not end well or the
    /// device could not be removed.
    @discardableResult
    func tearDown() -> Bool {
        watchdog.cancel()
        if server.runs { server.signal(SIGTERM) }
        let status = (try? server.wait(within: .seconds(10)))?.status
        let ended = status == 0 || wasKilled
        if isMounted { _ = try? Child(["fusermount3", "-u", "-z", root]).wait() }
        // Someone who looks at the device at this moment (`device list`) keeps it busy.
        let isRemoved = holds(within: .seconds(3)) {
            (try? Child([Machine.devfs, "device", "remove", device]).wait())?.status == 0
        }
        _ = try? Child(["rm", "-rf", "--one-file-system", directory]).wait()
        return ended && isRemoved
    }

    /// True while the mount point is one.
    var isMounted: Bool {
        (try? text(of: "/proc/self/mounts"))?.contains(" \(root) ") ?? false
    }
}

/// Runs `body` on a fresh mount, and takes it away after that; the server has to end with 0.
func withMount(
    _ mode: Mode = .best, _ options: String..., sourceLocation: SourceLocation = #_sourceLocation,
    body: (Mount) throws -> Void
) throws {
    let mount = try Mount(mode, options)
    defer {
        let ended = mount.tearDown()
        #expect(
            ended, "the server or its device did not end well: \(mount.server.errorSoFar)",
            sourceLocation: sourceLocation)
    }
    try body(mount)
}
