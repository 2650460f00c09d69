import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// Not swift-system's.
typealias Inode = DevFS.Inode

extension Caller {
    /// This process.
    static let me = Caller(pid: ProcessID(getpid()), uid: geteuid(), gid: getegid())
    /// Somebody without any right: the process is gone, so it has no capability.
    static func stranger() throws -> Caller {
        Caller(pid: ProcessID(try Child.deadNumber()), uid: 54321, gid: 54321)
    }
}

/// A tree and paths into it, as a client sees it.
struct Client {
    let tree: FileSystem
    var caller = Caller.me

    func inode(_ path: String) throws(Errno) -> Inode {
        var inode = Node.folder(.root).inode
        for name in path.split(separator: "/") {
            inode = Inode(try tree.lookup(String(name), in: inode).inode)
        }
        return inode
    }

    func status(_ path: String) throws(Errno) -> FileStatus {
        try tree.status(of: try inode(path))
    }

    func list(_ path: String) throws(Errno) -> [String] {
        try tree.entries(of: try inode(path)).map(\.name)
    }

    func open(_ path: String, _ flags: Int32 = O_RDONLY) throws(Errno) -> any OpenFile {
        try tree.open(try inode(path), OpenFlags(flags), by: caller)
    }

    func read(_ path: String) throws(Errno) -> String {
        let file = try open(path)
        defer { file.close() }
        return try file.text()
    }

    func bytes(_ path: String) throws(Errno) -> [UInt8] {
        let file = try open(path)
        defer { file.close() }
        return try file.bytes(count: 1 << 26)
    }

    @discardableResult
    func write(_ path: String, _ text: String) throws(Errno) -> Int {
        try write(path, bytes: Array(text.utf8))
    }

    @discardableResult
    func write(_ path: String, bytes: [UInt8], at offset: UInt64 = 0) throws(Errno) -> Int {
        let file = try open(path, O_WRONLY)
        defer { file.close() }
        let count = try file.write(bytes, at: offset)
        try file.flush(by: caller)
        return count
    }

    /// The errno of a write, nil where it was carried out whole.
    func refusal(_ path: String, _ text: String) throws -> Errno? {
        do throws(Errno) {
            let count = try write(path, text)
            #expect(count == text.utf8.count, "a short write")
            return nil
        } catch {
            return error
        }
    }

    func create(
        _ name: String, in directory: String = "buffers", mode: UInt32 = 0o644, _ flags: Int32 = 0
    ) throws(Errno) -> any OpenFile {
        let parent = try inode(directory)
        return try tree.create(
            name, in: parent, mode: mode, OpenFlags(flags | O_RDWR), by: caller
        ).1
    }

    func unlink(_ path: String) throws(Errno) {
        let (directory, name) = split(path)
        try tree.unlink(name, in: try inode(directory), by: caller)
    }

    func rename(_ old: String, _ new: String, _ flags: RenameFlags = []) throws(Errno) {
        let (from, name) = split(old)
        let (to, newName) = split(new)
        try tree.rename(
            name, in: try inode(from), to: newName, in: try inode(to), flags: flags, by: caller)
    }

    func split(_ path: String) -> (String, String) {
        var parts = path.split(separator: "/")
        let name = parts.popLast() ?? ""
        return (parts.joined(separator: "/"), String(name))
    }

    @discardableResult
    func change(
        _ path: String, _ file: (any OpenFile)? = nil, _ set: (inout AttributeChanges) -> Void
    ) throws(Errno) -> FileStatus {
        var changes = AttributeChanges()
        set(&changes)
        return try tree.setAttributes(changes, of: try inode(path), file: file, by: caller)
    }

    @discardableResult
    func truncate(
        _ path: String, to size: UInt64, _ file: (any OpenFile)? = nil
    ) throws(Errno) -> FileStatus {
        try change(path, file) { $0.size = size }
    }

    /// Lines of `control/log`.
    func log() throws(Errno) -> [String] {
        try read("control/log").split(separator: "\n").map(String.init)
    }
}

/// A tree without FUSE on a device, shut down afterwards.
func withTree(
    on device: TestDevice, options: TreeOptions = TreeOptions(uid: geteuid(), gid: getegid()),
    _ body: (Client) throws -> Void
) throws {
    let tree = try FileSystem(try device.reopened(), options)
    defer { tree.shutDown() }
    try body(Client(tree: tree))
}

/// A tree without FUSE on a fresh device.
func withTree(
    _ form: MemoryForm = MemoryForm.available[0], size: UInt64 = TestDevice.size,
    _ change: (inout TreeOptions) -> Void = { _ in }, _ body: (Client) throws -> Void
) throws {
    var options = TreeOptions(uid: geteuid(), gid: getegid())
    change(&options)
    try withDevice(form, size: size) { device in
        try withTree(on: device, options: options, body)
    }
}
