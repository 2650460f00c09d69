import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// The backends, where they differ (docs/reference/module.md).
enum BackendKind: Sendable, CaseIterable { case memory, kernel, vfio }

/// A device whose backend can be made anew, as a server that starts again does.
protocol ConformanceDevice {
    var kind: BackendKind { get }
    /// Bytes that its heaps have at the most.
    var size: UInt64 { get }
    func open() throws -> any Backend
}

/// What every backend does. A backend's suite runs each of its rules on a device of its own:
/// `@Test(arguments: Conformance.rules(for: .memory)) func holds(rule: Conformance.Rule)`.
enum Conformance {
    struct Rule: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// The backends that it is a rule for: all, or there is a rule for the others beside it.
        let kinds: [BackendKind]
        let check: @Sendable (any ConformanceDevice) throws -> Void

        init(
            _ sentence: String, on kinds: BackendKind...,
            check: @escaping @Sendable (any ConformanceDevice) throws -> Void
        ) {
            testDescription = sentence
            self.kinds = kinds.isEmpty ? BackendKind.allCases : kinds
            self.check = check
        }
    }

    static func rules(for kind: BackendKind) -> [Rule] {
        (allocation + memory + names + persistence + accounting + addresses)
            .filter { $0.kinds.contains(kind) }
    }
}

/// What a `system` buffer of a device takes of its space.
///
/// On the module memory that was allocated at once has one mapping for the bus, so it goes back
/// as a whole: shrinking frees segments, not pages.
struct Footprint {
    let kind: BackendKind
    /// Bytes at which each allocation ends, in order.
    private var ends: [UInt64] = []

    init(_ kind: BackendKind, size: UInt64) {
        self.kind = kind
        resize(to: size)
    }

    var bytes: UInt64 { ends.last ?? 0 }

    mutating func resize(to size: UInt64) {
        let wanted = (size + 4095) / 4096 * 4096
        switch kind {
        case .memory, .vfio: ends = [wanted]
        case .kernel:
            while let last = ends.last, ends.dropLast().last ?? 0 >= wanted, last > 0 {
                ends.removeLast()
            }
            if wanted > bytes { ends.append(wanted) }
        }
    }
}

extension Backend {
    /// Heaps that a command allocates from.
    var sources: [Heap] { heaps.filter(\.isAllocatable) }

    /// A buffer with what most rules do not care about filled in.
    func make(
        _ name: String, size: UInt64, heap: Heap = .system,
        direction: Direction = .bidirectional, mode: UInt32 = 0o640
    ) throws -> BufferDescription {
        let name = try #require(Name(name))
        let process = ProcessID(getpid())
        let traits = BufferTraits(
            heap: heap, direction: direction, owner: process,
            ownerStart: try #require(try ProcessHandle.startTime(of: process)))
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
