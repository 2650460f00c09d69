import Glibc

/// The errno of a call that failed, as tests expect it: `#expect(throws: Errno(ENOSPC)) { ... }`.
struct Errno: Error, Hashable, CustomStringConvertible {
    let code: Int32

    init(_ code: Int32) {
        self.code = code
    }

    /// The error of the call that this thread made last.
    static var last: Errno { Errno(errno) }

    var description: String {
        unsafe String(cString: strerror(code)) + " (\(code))"
    }
}

/// Gives a call's result, or throws its errno where it is negative.
func checked<Result: SignedInteger>(_ call: () -> Result) throws -> Result {
    let result = call()
    if result < 0 { throw Errno.last }
    return result
}
