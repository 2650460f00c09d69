import SystemPackage

/// What could not be set up: what was tried, on what, and the fix.
public struct SetupError: Error, Sendable, CustomStringConvertible {
    /// What was tried and on what, for example `mounting /mnt/dma`.
    public var attempt: String
    /// The error of the call that failed.
    public var errno: Errno
    /// What to do about it, one sentence; empty where nobody knows.
    public var fix: String

    public init(_ attempt: String, _ errno: Errno, fix: String = "") {
        self.attempt = attempt
        self.errno = errno
        self.fix = fix
    }

    public var description: String {
        "\(attempt): \(errno)" + (fix.isEmpty ? "" : " (\(fix))")
    }
}
