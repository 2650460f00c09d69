import DevFSBase
import Glibc
import SystemPackage

/// A device that is mounted: a tree of files, of which `docs/reference/` of DevFS describes each.
///
/// ```swift
/// let device = try Device.open("/mnt/dma")
/// let buffer = try device.allocate("rx", bytes: 4 << 20)
/// ```
///
/// A device keeps nothing open. Its functions can be called on any thread, and wait for the mount's
/// server, unless their documentation says that they wait for more.
public struct Device: Sendable {
    package let mount: MountEntry

    /// Where it is mounted; absolute.
    public var mountPoint: String { mount.mountpoint }

    /// What is mounted: `memory:lab`, `/dev/devfs/pci-0000:00:09.0`.
    public var source: String { mount.source }

    package init(_ mount: MountEntry) { self.mount = mount }

    /// The device whose mount a path is on.
    ///
    /// - Parameters:
    ///   - path: the mount point, or anything below it.
    ///   - timeout: how long the mount's server may take to answer; it is asked once, by a process
    ///     of its own, as a request to a server that hangs cannot be given up.
    /// - Throws: ``DevFSError`` of the kind `notMounted` or `noAnswer`.
    public static func open(
        _ path: String, timeout: Duration = .seconds(10)
    ) throws(DevFSError) -> Device {
        let limit = Int32(
            clamping: max(
                1,
                Int64(clamping: timeout.components.seconds) &* 1000
                    &+ timeout.components.attoseconds / 1_000_000_000_000_000))
        let entry = try MountTable.containing(
            path,
            answer: { (path, _) throws(DevFSError) in
                if Calls.answers(path, within: limit) { return }
                throw DevFSError(.noAnswer, path, "no answer for \(limit) ms")
            }, failing: { $0 })
        return Device(entry)
    }

    /// All devices that root or this user has mounted, in the order they were mounted. None of them
    /// is asked for anything.
    ///
    /// - Throws: ``DevFSError`` where `/proc/self/mountinfo` cannot be read.
    public static func all() throws(DevFSError) -> [Device] {
        try MountTable.devfs().filter { !$0.isStrangers }.map { Device($0) }
    }

    /// The device of this source that is mounted, the one mounted last where several are.
    ///
    /// - Parameter source: `memory:lab`, `/dev/devfs/host`, or the last part of it, `lab`, `host`.
    /// - Throws: ``DevFSError`` of the kind `notMounted`.
    public static func find(_ source: String) throws(DevFSError) -> Device {
        let found = try all().last {
            $0.source == source || $0.source == "memory:\(source)"
                || $0.source == "/dev/devfs/\(source)"
        }
        guard let found else {
            throw DevFSError(.notMounted, "finding \(source)", "no mount of it")
        }
        return found
    }
}

// MARK: - The tree's files

extension Device {
    /// Path of a file of the tree, given from its root: `status`, `control/alloc`.
    public func path(_ file: String) -> String { "\(mountPoint)/\(file)" }

    /// The text of a file of the tree, without the last newline.
    ///
    /// - Throws: ``DevFSError`` with the errno of `open(2)` or `read(2)`.
    public func text(_ file: String) throws(DevFSError) -> String {
        try doing("reading \(path(file))") { () throws(Errno) in
            var text = String(
                decoding: try KernelFile.contents(of: path(file)), as: UTF8.self)
            if text.last == "\n" { text.removeLast() }
            return text
        }
    }

    /// The number in a file of the tree, or nil where it cannot be read: it went meanwhile, or has
    /// no value.
    public func number(_ file: String) -> UInt64? {
        (try? text(file)).flatMap { UInt64($0) }
    }

    /// The lines of a file of the tree.
    ///
    /// - Throws: as ``text(_:)``.
    public func lines(_ file: String) throws(DevFSError) -> [Substring] {
        try text(file).split(separator: "\n")
    }

    /// Names in a directory of the tree, sorted.
    ///
    /// - Throws: ``DevFSError`` with the errno of `opendir(3)`.
    public func names(in directory: String) throws(DevFSError) -> [String] {
        try doing("listing \(path(directory))") { () throws(Errno) in
            try Calls.names(in: path(directory))
        }
    }

    /// Writes one command, or one value, to a file of the tree in one `write(2)`.
    ///
    /// - Parameters:
    ///   - file: from the root of the tree: `control/alloc`.
    ///   - operation: what it is for, for the error.
    /// - Throws: ``DevFSError`` with the errno of the call, and the reason from `control/log`.
    public func write(
        _ text: String, to file: String, for operation: String? = nil
    ) throws(DevFSError) {
        try doing(operation ?? "writing \(path(file))") { () throws(Errno) in
            let file = try Calls.open(path(file), flags: O_WRONLY)
            try Calls.write("\(text)\n", to: file.raw)
        }
    }

    /// Does `body`; its errno gets the reason that the tree's log has for it.
    package func doing<Result: ~Copyable>(
        _ operation: @autoclosure () -> String, _ body: () throws(Errno) -> Result
    ) throws(DevFSError) -> Result {
        do throws(Errno) {
            return try body()
        } catch {
            throw failure(operation(), error)
        }
    }

    /// What went wrong, with the reason that the tree has for it.
    package func failure(_ operation: String, _ errno: Errno) -> DevFSError {
        switch errno {
        case .socketNotConnected:
            DevFSError(
                operation, errno,
                reason: "the server has died; `devfs mount` of the same device brings it back",
                kind: .serverDied)
        default:
            DevFSError(operation, errno, reason: lastRefusal(with: errno))
        }
    }

    /// Why the last command of this process was refused with `errno`, from `control/log`.
    private func lastRefusal(with errno: Errno) -> String? {
        guard let bytes = try? KernelFile.contents(of: path("control/log")) else { return nil }
        let log = String(decoding: bytes, as: UTF8.self)
        let (ours, same) = (" pid=\(getpid()) ", " errno=\(ErrnoName.of(errno)) ")
        let line = log.split(separator: "\n").last { $0.contains(ours) && $0.contains(same) }
        guard let line, let mark = line.ranges(of: " why=\"").last, line.last == "\"" else {
            return nil
        }
        var why = ""
        var isEscaped = false
        for character in line[mark.upperBound...].dropLast() {
            isEscaped = character == "\\" && !isEscaped
            if !isEscaped { why.append(character) }
        }
        return why.isEmpty ? nil : why
    }

    /// A part of a path and of a command line, checked as such.
    func name(_ text: String, of kind: String) throws(DevFSError) -> String {
        guard Name(text) != nil else {
            throw DevFSError(.invalid, "\(kind) '\(text)'", "not a name: \(Name.rule)")
        }
        return text
    }
}
