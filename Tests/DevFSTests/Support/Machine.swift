import Dispatch
import Glibc
import Synchronization
import Testing

@testable import DevFS

/// What this machine lets a test do.
enum Machine {
    static let isRoot = geteuid() == 0
    static let needsRoot: Comment = "needs root: a private tmpfs has to be mounted"

    /// What each descriptor of this process is open on.
    static func descriptors() throws -> [String] {
        let directory = try Syscalls.open("/proc/self/fd", flags: O_RDONLY | O_DIRECTORY)
        return try Syscalls.names(in: directory.raw).compactMap {
            try? Syscalls.link($0, at: directory.raw)
        }
    }

    /// Looks again and again until the condition holds; false at the deadline.
    static func waits(seconds: Double = 10, for condition: () throws -> Bool) rethrows -> Bool {
        let deadline = Clock.monotonic + UInt64(seconds * 1e9)
        while Clock.monotonic < deadline {
            if try condition() { return true }
            usleep(500)
        }
        return try condition()
    }
}

/// A process of our own, killed and reaped when its owner goes.
final class Child: Sendable {
    let pid: Int32
    private let isReaped = Mutex(false)

    init(_ arguments: [String] = ["sleep", "300"]) throws {
        let program = try #require(arguments.first)
        var texts = unsafe arguments.map { unsafe strdup($0) }
        unsafe texts.append(nil)
        defer { for index in unsafe texts.indices { unsafe free(texts[index]) } }
        var pid: pid_t = 0
        try #require(unsafe posix_spawnp(&pid, program, nil, nil, texts, environ) == 0)
        self.pid = pid
    }

    var id: ProcessID { ProcessID(pid) }

    /// Kills it and takes its status: afterwards its number is free.
    func end() {
        isReaped.withLock { isReaped in
            guard !isReaped else { return }
            isReaped = true
            kill(pid, SIGKILL)
            var status: Int32 = 0
            while unsafe waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        }
    }

    /// Waits until it ends by itself: its exit status, nil where a signal ended it.
    func wait() -> Int32? {
        isReaped.withLock { isReaped in
            isReaped = true
            var status: Int32 = 0
            while unsafe waitpid(pid, &status, 0) < 0 && errno == EINTR {}
            return status & 0x7f == 0 ? status >> 8 & 0xff : nil
        }
    }

    deinit { end() }

    /// The number of a process that was ours and is gone.
    static func deadNumber() throws -> Int32 {
        let child = try Child(["true"])
        child.end()
        return child.pid
    }
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
