import Glibc
import Testing

@testable import DevFS

extension Machine {
    static let needsRoot: Comment = "needs root: a private tmpfs has to be mounted"

    /// What each descriptor of this process is open on.
    static func descriptors() throws -> [String] {
        let directory = try Syscalls.open("/proc/self/fd", flags: O_RDONLY | O_DIRECTORY)
        return try Syscalls.names(in: directory.raw).compactMap {
            try? Syscalls.link($0, at: directory.raw)
        }
    }
}

extension Child {
    var id: ProcessID { ProcessID(pid) }
}

/// Capabilities of the calling thread. `capset(2)`, which Glibc's module leaves out.
@_silgen_name("capset")
private func rawCapset(
    _ header: UnsafeMutableRawPointer, _ data: UnsafeMutableRawPointer
) -> Int32
@_silgen_name("capget")
private func rawCapget(
    _ header: UnsafeMutableRawPointer, _ data: UnsafeMutableRawPointer
) -> Int32

extension Machine {
    /// Runs as a user would who cannot mount: without CAP_SYS_ADMIN in the effective set.
    static func withoutSystemAdministration<T>(_ body: () throws -> T) throws -> T {
        // Version 3 and this thread; effective, permitted, inheritable, low words then high.
        var header: [UInt32] = [0x2008_0522, 0]
        var before = [UInt32](repeating: 0, count: 6)
        try #require(unsafe rawCapget(&header, &before) == 0)
        var less = before
        less[0] &= ~(1 << UInt32(Capability.systemAdministration))
        try #require(unsafe rawCapset(&header, &less) == 0)
        defer {
            let isBack = unsafe rawCapset(&header, &before) == 0
            precondition(isBack, "the thread's capabilities are lost")
        }
        return try body()
    }
}
