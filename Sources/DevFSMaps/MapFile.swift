import DevFS
import SystemPackage

/// Reads register maps, in any of the formats, from files. It runs before the device is opened and
/// anything is mounted: the parsers are not there for requests.
package enum MapFile {
    /// Bytes of a file at the most: what is read of it takes some ten times as much for a moment.
    static let longest = 64 << 20
    /// Of JSON and YAML.
    static let longestText = 8 << 20

    /// - Parameter path: as messages name it.
    /// - Throws: what is wrong, with file and line.
    package static func read(_ path: String) throws(SetupError) -> RegisterMap {
        let bytes: [UInt8]
        do {
            bytes = try contents(path)
        } catch let error as SetupError {
            throw error
        } catch let error as Errno {
            throw SetupError("reading \(path)", error)
        } catch {
            throw SetupError("reading \(path)", .ioError)
        }
        return try parse(bytes, path)
    }

    package static func parse(_ bytes: [UInt8], _ path: String) throws(SetupError) -> RegisterMap {
        let bom: [UInt8] = [0xef, 0xbb, 0xbf]
        let text = bytes.starts(with: bom) ? bytes[3...] : bytes[...]
        let isWide = bytes.starts(with: [0xff, 0xfe]) || bytes.starts(with: [0xfe, 0xff])
        let first = text.first { $0 > 0x20 }
        switch first {
        case nil: throw MapError(path, "the file is empty").failure
        case _ where isWide, UInt8(ascii: "<"):
            return try XMLMap.parse(bytes, path)
        default:
            try check(bytes, longestText, path)
            do throws(MapError) {
                let root = try YAMLNode.read(Array(text), path)
                return try LiteXMap.isOne(root)
                    ? LiteXMap.convert(root, path) : YAMLMap.convert(root, path)
            } catch {
                throw error.failure
            }
        }
    }

    private static func check(
        _ bytes: [UInt8], _ most: Int, _ path: String
    ) throws(SetupError) {
        guard bytes.count <= most else {
            throw SetupError(
                "reading \(path)", .fileTooLarge, hint: "more than \(most >> 20) MiB of this format"
            )
        }
    }

    /// No pipe or device, which may never end.
    private static func contents(_ path: String) throws -> [UInt8] {
        let file = try FileDescriptor.open(
            FilePath(path), .readOnly, options: [.closeOnExec, .nonBlocking])
        return try file.closeAfter {
            guard try Stat(file).type == .regular else {
                throw SetupError("reading \(path)", .invalidArgument, hint: "it is no regular file")
            }
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 1 << 18)
            while true {
                let count = try unsafe chunk.withUnsafeMutableBytes {
                    try unsafe file.read(into: $0)
                }
                if count == 0 { return bytes }
                bytes += chunk[..<count]
                try check(bytes, longest, path)
            }
        }
    }
}

/// What is wrong in a map, and in which line.
struct MapError: Error {
    var path: String
    var line: Int?
    var why: String
    var errno = Errno.invalidArgument

    init(_ path: String, line: Int? = nil, _ why: String, _ errno: Errno = .invalidArgument) {
        self.path = path
        self.line = line
        self.why = why
        self.errno = errno
    }

    var failure: SetupError {
        SetupError("reading \(path)" + (line.map { ":\($0)" } ?? ""), errno, hint: why)
    }
}
