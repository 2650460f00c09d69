import CFuse
import Glibc
import Testing

@testable import DevFS

/// The filter of system calls, in a child process of its own.
@Suite(.enabled(if: cfuse_can_filter_calls(), "no filter for this architecture"))
struct SandboxTests {
    /// A call that is tried, and what comes of it: 0 or an errno.
    private struct Probe {
        var name: String
        var expected: CInt
        var body: @convention(c) () -> CInt
    }

    private static let probes: [Probe] = [
        Probe(name: "socket(AF_INET)", expected: EPERM) {
            error(socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0))
        },
        Probe(name: "socket(AF_NETLINK)", expected: EPERM) {
            error(socket(AF_NETLINK, Int32(SOCK_RAW.rawValue), 0))
        },
        Probe(name: "unshare", expected: EPERM) { error(named("unshare", 0x0400_0000)) },
        Probe(name: "setuid", expected: EPERM) { error(setuid(getuid())) },
        Probe(name: "setgid", expected: EPERM) { error(setgid(getgid())) },
        Probe(name: "mount", expected: EPERM) {
            unsafe error(mount("none", "/nonexistent", "tmpfs", 0, nil))
        },
        Probe(name: "chroot", expected: EPERM) { unsafe error(chroot("/")) },
        Probe(name: "execve", expected: EPERM) {
            unsafe error(execve("/nonexistent", [nil], [nil]))
        },
        Probe(name: "kill of another", expected: EPERM) { error(kill(getppid(), 0)) },
        Probe(name: "a mapping of code", expected: EPERM) { map(PROT_READ | PROT_EXEC) },
        Probe(name: "TIOCSTI", expected: EPERM) { error(ioctl(0, 0x5412, 0)) },
        Probe(name: "socket(AF_UNIX)", expected: 0) {
            error(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
        },
        Probe(name: "kill of itself", expected: 0) { error(kill(getpid(), 0)) },
        Probe(name: "a mapping", expected: 0) { map(PROT_READ | PROT_WRITE) },
        Probe(name: "open", expected: 0) { unsafe error(open("/proc/self/status", O_RDONLY)) },
        Probe(name: "eventfd", expected: 0) { error(eventfd(0, 0)) },
        Probe(name: "a thread", expected: 0) { thread() },
    ]

    @Test func `what the server never calls is EPERM, and what it needs goes on`() throws {
        let before = try Self.run(isFiltered: false)
        let after = try Self.run(isFiltered: true)
        for (index, probe) in Self.probes.enumerated() {
            // Without the filter it is another answer, so that the filter is what is tested.
            if probe.expected == EPERM && geteuid() == 0 {
                #expect(before[index] != EPERM, "\(probe.name)")
            }
            #expect(after[index] == probe.expected, "\(probe.name)")
        }
    }

    /// The results of all probes in a child.
    private static func run(isFiltered: Bool) throws -> [CInt] {
        // Swift hides fork(2) from programs with threads; this child makes few calls and ends.
        let symbol = unsafe try #require(dlsym(nil, "fork"))
        let fork = unsafe unsafeBitCast(symbol, to: (@convention(c) () -> pid_t).self)
        let probes = probes
        var ends: [CInt] = [-1, -1]
        try #require(unsafe pipe(&ends) == 0)
        let child = fork()
        if child == 0 {
            alarm(10)
            if isFiltered
                && (cfuse_no_new_privileges() != 0 || cfuse_filter_calls(false, false) != 0)
            {
                _exit(1)
            }
            for probe in probes {
                var result = probe.body()
                if unsafe write(ends[1], &result, 4) != 4 { _exit(2) }
            }
            _exit(0)
        }
        close(ends[1])
        defer { close(ends[0]) }
        var results: [CInt] = []
        var result: CInt = 0
        while unsafe read(ends[0], &result, 4) == 4 { results.append(result) }
        var status: CInt = -1
        unsafe waitpid(child, &status, 0)
        #expect(status == 0)
        try #require(results.count == probes.count)
        return results
    }
}

private func error(_ result: CInt) -> CInt { result < 0 ? errno : 0 }

private func map(_ protection: CInt) -> CInt {
    let address = unsafe mmap(nil, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    return unsafe address == MAP_FAILED ? errno : 0
}

private func thread() -> CInt {
    var thread = pthread_t()
    let result = unsafe pthread_create(&thread, nil, { _ in nil }, nil)
    return result != 0 ? result : pthread_join(thread, nil)
}

/// A function of the C library with one number, which Swift does not import.
private func named(_ function: String, _ argument: CInt) -> CInt {
    guard let symbol = unsafe dlsym(nil, function) else { return -1 }
    return unsafe unsafeBitCast(symbol, to: (@convention(c) (CInt) -> CInt).self)(argument)
}
