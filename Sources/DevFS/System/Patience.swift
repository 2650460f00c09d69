import Glibc
import SystemPackage

/// How long what is busy is tried again, by a thread that serves nobody else meanwhile.
struct Patience {
    let attempts: Int
    let microseconds: UInt32

    /// - Parameter isBusy: the failure may pass by itself.
    func retry<T: ~Copyable, Failure: Error>(
        while isBusy: (Failure) -> Bool, _ body: () throws(Failure) -> T
    ) throws(Failure) -> T {
        for _ in 1..<attempts {
            do throws(Failure) {
                return try body()
            } catch {
                guard isBusy(error) else { throw error }
                Syscalls.pause(microseconds: microseconds)
            }
        }
        return try body()
    }

    /// While it is EBUSY.
    func retry<T: ~Copyable>(_ body: () throws(Errno) -> T) throws(Errno) -> T {
        try retry(while: { (error: Errno) in error == .resourceBusy }, body)
    }
}
