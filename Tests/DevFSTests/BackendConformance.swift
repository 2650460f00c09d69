import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// A device whose backend can be made anew, as a server that starts again does.
protocol ConformanceDevice {
    /// Bytes that its heaps have at the most.
    var size: UInt64 { get }
    func open() throws -> any Backend
}

/// What every backend does. A backend's suite runs each rule on a device of its own:
/// `@Test(arguments: Conformance.rules) func holds(rule: Conformance.Rule)`.
enum Conformance {
    struct Rule: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let check: @Sendable (any ConformanceDevice) throws -> Void

        init(
            _ sentence: String, _ check: @escaping @Sendable (any ConformanceDevice) throws -> Void
        ) {
            testDescription = sentence
            self.check = check
        }
    }

    static let rules = allocation + memory + names + persistence + accounting + addresses
}

extension Backend {
    /// A buffer with what most rules do not care about filled in.
    func make(
        _ name: String, size: UInt64, heap: Heap = .system,
        direction: Direction = .bidirectional, mode: UInt32 = 0o640
    ) throws -> BufferDescription {
        let name = try #require(Name(name))
        let traits = BufferTraits(heap: heap, direction: direction)
        let owner = Ownership(uid: geteuid(), gid: getegid(), mode: mode)
        let id = try allocate(name, size: size, traits: traits, owner: owner)
        return BufferDescription(id: id, name: name, traits: traits)
    }

    func refusal(_ name: String, size: UInt64, heap: Heap = .system) -> Refusal? {
        do {
            _ = try make(name, size: size, heap: heap)
            return nil
        } catch {
            return error as? Refusal
        }
    }

    func put(_ bytes: [UInt8], to descriptor: CInt, at offset: UInt64 = 0) throws(Errno) -> Int {
        let result = unsafe bytes.withUnsafeBytes { raw -> Result<Int, Errno> in
            do throws(Errno) {
                return .success(unsafe try write(raw, to: descriptor, at: offset))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    func free() throws(Errno) -> UInt64 { try space().free }
}

/// The whole of a file.
func contents(of descriptor: CInt) throws(Errno) -> [UInt8] {
    try Syscalls.bytes(
        of: descriptor, at: 0, count: Int(try Syscalls.status(of: descriptor).size) + 1)
}
