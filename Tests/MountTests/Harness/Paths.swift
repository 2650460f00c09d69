import Glibc

/// The whole of a file, text files of a mount included.
func bytes(of path: String) throws -> [UInt8] {
    let file = try OpenFile(path)
    defer { file.close() }
    var bytes: [UInt8] = []
    while true {
        let more = try file.read(1 << 20)
        if more.isEmpty { return bytes }
        bytes += more
    }
}

func text(of path: String) throws -> String {
    String(decoding: try bytes(of: path), as: UTF8.self)
}

/// Writes `text` by one write(2) to a file that exists; how many bytes were taken.
@discardableResult
func put(_ text: String, to path: String) throws -> Int {
    let file = try OpenFile(path, O_WRONLY)
    defer { file.close() }
    return try file.write(text)
}

/// The names in a directory but `.` and `..`; none where it can't be read.
func names(in directory: String) -> [String] {
    guard let stream = unsafe opendir(directory) else { return [] }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
        let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
            unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) {
                unsafe String(cString: $0)
            }
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
}

/// Where a symbolic link leads; empty where there is none.
func target(of link: String) -> String {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe bytes.withUnsafeMutableBytes {
        unsafe readlink(link, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
    }
    return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
}

/// stat(2).
func status(of path: String) throws -> stat {
    var status = stat()
    _ = try checked { unsafe stat(path, &status) }
    return status
}

func exists(_ path: String) -> Bool {
    unsafe access(path, F_OK) == 0
}

/// `count` bytes that differ from page to page and from seed to seed.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var generator = SeededRandom(seed)
    var words: [UInt64] = []
    words.reserveCapacity(count / 8 + 1)
    for _ in 0...count / 8 { words.append(generator.next()) }
    return unsafe words.withUnsafeBytes { unsafe Array($0.prefix(count)) }
}

func zeros(_ count: Int) -> [UInt8] {
    [UInt8](repeating: 0, count: count)
}
