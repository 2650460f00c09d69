import DevFS
import Glibc
import SystemPackage

/// Small files, read and written whole.
enum Files {
    /// The text of a file; throws the `Errno` of the call that failed.
    static func text(of path: String) throws -> String {
        let file = try open(path, .readOnly)
        return try file.closeAfter { String(decoding: try bytes(of: file), as: UTF8.self) }
    }

    /// Writes in one call, as command files want it; throws the `Errno` of the call that failed.
    static func write(_ text: String, to path: String) throws {
        let file = try open(path, .writeOnly)
        try file.closeAfter {
            var text = text
            _ = try text.withUTF8 { try unsafe file.write(UnsafeRawBufferPointer($0)) }
        }
    }

    /// Opens a file that no program started by this one inherits.
    static func open(
        _ path: String, _ mode: FileDescriptor.AccessMode,
        options: FileDescriptor.OpenOptions = [], permissions: FilePermissions? = nil
    ) throws -> FileDescriptor {
        try FileDescriptor.open(
            FilePath(path), mode, options: options.union(.closeOnExec), permissions: permissions)
    }

    static func isExecutable(_ path: String) -> Bool {
        (try? Stat(FilePath(path)))?.type == .regular && Syscalls.isAccessible(path, X_OK)
    }

    static func isDirectory(_ path: String) -> Bool {
        (try? Stat(FilePath(path)))?.type == .directory
    }

    /// True if `path` is on a tmpfs.
    static func isTmpfs(_ path: String) -> Bool {
        (try? Mounts.type(at: path)) == "tmpfs"
    }

    /// All that is in a file; EFBIG where that is more than `most` bytes.
    static func bytes(of file: FileDescriptor, atMost most: Int = .max) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = try unsafe chunk.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= most else { throw Errno.fileTooLarge }
        }
    }
}
