import SystemPackage

/// Files whose text the kernel, or a file system like ours, makes when they are opened.
package enum KernelFile {
    /// All of a file, however long it is. `open(2)`, `read(2)`
    package static func contents(of path: String) throws(Errno) -> [UInt8] {
        do {
            let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
            return try file.closeAfter {
                var all: [UInt8] = []
                var room = [UInt8](repeating: 0, count: 16384)
                while true {
                    let count = try unsafe room.withUnsafeMutableBytes {
                        try unsafe file.read(into: $0)
                    }
                    if count == 0 { return all }
                    all += room[..<count]
                }
            }
        } catch {
            throw error as? Errno ?? .ioError
        }
    }
}
