import Glibc
import Testing

/// What tests do with the files of a mount; paths are relative to its root.
extension Mount {
    func path(_ relative: String) -> String {
        root + "/" + relative
    }

    func buffer(_ name: String) -> String {
        path("buffers/" + name)
    }

    /// A value of a file without its newline.
    func value(_ relative: String) throws -> String {
        let text = try text(of: path(relative))
        #expect(text.hasSuffix("\n"), "\(relative) does not end with a newline")
        return String(text.dropLast())
    }

    func number(_ relative: String) throws -> Int {
        let value = try value(relative)
        guard let number = Int(value) else {
            throw CommandFailure(description: "\(relative) is not a number: \(value)")
        }
        return number
    }

    /// Writes `text` to a file in one write, which has to take all of it.
    func put(_ text: String, _ relative: String) throws {
        let taken = try MountTestsFile.put(text, to: path(relative))
        if taken != text.utf8.count {
            throw CommandFailure(description: "\(relative) took \(taken) bytes of \(text)")
        }
    }

    /// `echo "NAME SIZE ..." > control/alloc`.
    func alloc(_ words: String) throws {
        try put(words + "\n", "control/alloc")
    }

    func open(
        _ relative: String, _ flags: Int32 = O_RDWR, mode: mode_t = 0o666
    ) throws -> OpenFile {
        try OpenFile(path(relative), flags, mode: mode)
    }

    /// The bytes of a buffer.
    func contents(_ name: String) throws -> [UInt8] {
        try bytes(of: buffer(name))
    }

    func size(_ name: String) throws -> Int {
        try Int(status(of: buffer(name)).st_size)
    }

    /// Makes or overwrites a buffer with `bytes`.
    func fill(_ name: String, _ bytes: [UInt8], at offset: Int = 0) throws {
        let file = try open("buffers/" + name, O_RDWR | O_CREAT)
        defer { file.close() }
        let taken = try file.write(bytes, at: offset)
        if taken != bytes.count {
            throw CommandFailure(description: "\(name) took \(taken) bytes of \(bytes.count)")
        }
    }

    var log: String {
        get throws { try text(of: path("control/log")) }
    }

    /// The newest line of `control/log`.
    var lastRefusal: LogLine? {
        get throws { try log.split(separator: "\n").last.flatMap { LogLine(String($0)) } }
    }

    /// Runs a command in the root of the mount.
    func run(_ command: String...) throws -> Output {
        try Child(command, directory: root).wait()
    }

    func start(_ command: String...) throws -> Child {
        try Child(command, directory: root)
    }

    /// Fails where a command succeeds: `set -e` lets `! command` pass either way.
    private static let no = """
        no() { if "$@" 2> /dev/null; then echo "not refused: $*" >&2; exit 1; fi; }

        """

    /// Runs a shell script in the root of the mount; it has to succeed. Its output, trimmed.
    /// `no COMMAND` is for a command that must fail.
    @discardableResult
    func bash(
        _ script: String, _ sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> String {
        let command = ["bash", "-euo", "pipefail", "-c", Self.no + script]
        let output = try Child(command, directory: root).wait()
        #expect(
            output.status == 0, "status \(output.status): \(script)\n\(output.text)\(output.error)",
            sourceLocation: sourceLocation)
        var text = output.text
        while text.last?.isNewline ?? false { text.removeLast() }
        return text
    }

    /// Runs a Python script in the root of the mount, after `Python.prelude`; it has to succeed.
    @discardableResult
    func python(
        _ script: String, _ arguments: String..., within limit: Duration = .seconds(20),
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> String {
        let output = try Child(Python.command(script, arguments), directory: root)
            .wait(within: limit)
        #expect(
            output.status == 0, "\(output.text)\(output.error)", sourceLocation: sourceLocation)
        return output.text
    }

    func startPython(_ script: String, _ arguments: String...) throws -> Child {
        try Child(Python.command(script, arguments), directory: root)
    }
}

/// The global functions of the same names as methods of `Mount`.
private enum MountTestsFile {
    static func put(_ text: String, to path: String) throws -> Int {
        let file = try OpenFile(path, O_WRONLY)
        let taken: Int
        do {
            taken = try file.write(text)
        } catch {
            file.close()
            throw error
        }
        // Where the last line has no newline, its command is carried out now.
        try file.end()
        return taken
    }
}
