import Glibc

/// Numbers of `capabilities(7)`, from linux/capability.h.
package enum Capability {
    package static let systemAdministration = 21
    static let memoryLock = 14

    /// In the effective set of this process. `proc_pid_status(5)`, CapEff
    package static func isHeld(_ number: Int) -> Bool {
        let status = try? ProcessStatus(ProcessID(getpid()))
        let set = status?["CapEff"].flatMap { UInt64($0, radix: 16) } ?? 0
        return set >> UInt64(number) & 1 == 1
    }
}
