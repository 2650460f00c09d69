import DevFS
import Glibc
import SystemPackage

/// A mounted tree, used by its files alone (`docs/reference/` describes them).
struct Tree {
    let mount: MountEntry

    /// The tree that `path` is in.
    ///
    /// - Throws: "nothing found" if `path` is not on a DevFS mount.
    init(containing path: String) throws {
        mount = try Mounts.containing(path)
    }

    /// Path of a file of the tree, given from its root.
    func path(_ file: String) -> String { "\(mount.mountpoint)/\(file)" }

    /// A file's text without the last newline.
    func text(_ file: String) throws -> String {
        var text = try doing("reading \(path(file))") { try Files.text(of: path(file)) }
        if text.last == "\n" { text.removeLast() }
        return text
    }

    /// A file's text, or nil where it cannot be read: it went meanwhile, or has no value.
    func optionalText(_ file: String) -> String? { try? text(file) }

    /// A file's number, or nil as for `optionalText`.
    func number(_ file: String) -> UInt64? { optionalText(file).flatMap { UInt64($0) } }

    func lines(_ file: String) throws -> [Substring] { try text(file).split(separator: "\n") }

    /// Names in a directory, sorted.
    func names(in directory: String) throws -> [String] {
        try doing("listing \(path(directory))") { try Syscalls.names(in: path(directory)) }
    }

    /// Writes one command, or one value; `what` says what for.
    func write(_ text: String, to file: String, for what: String) throws {
        try doing(what) { try Files.write("\(text)\n", to: path(file)) }
    }

    /// Opens a file to wait on.
    func openToWait(_ file: String, for what: String) throws -> FileDescriptor {
        try doing(what) {
            try Files.open(path(file), .readOnly, options: .nonBlocking)
        }
    }

    /// Does `body`; an error gets the reason that the tree's log has for it.
    func doing<Result>(_ what: String, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let errno as Errno {
            throw failure(what, errno)
        }
    }

    /// What went wrong, with the reason that the tree has for it.
    func failure(_ what: String, _ errno: Errno) -> Failure {
        if errno == .socketNotConnected {
            return Failure(
                what, errno,
                detail: "the server has died; `devfs mount` of the same device brings it back")
        }
        return Failure(what, errno, detail: lastRefusal(with: errno))
    }

    /// Why the last command of this process was refused with `errno`, from `control/log`.
    private func lastRefusal(with errno: Errno) -> String? {
        guard let log = try? Files.text(of: path("control/log")) else { return nil }
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
}
