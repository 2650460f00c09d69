import SystemPackage

/// What could not be set up: what was tried, on what, why not or what to do.
public struct SetupError: Error, Sendable, CustomStringConvertible {
    /// What was tried and on what, for example `mounting /mnt/dma`.
    public var attempt: String
    /// The error of the call that failed.
    public var errno: Errno
    /// Why, or what to do about it: one sentence; empty where nobody knows.
    public var hint: String

    public init(_ attempt: String, _ errno: Errno, hint: String = "") {
        self.attempt = attempt
        self.errno = errno
        self.hint = hint
    }

    public var description: String {
        "\(attempt): \(errno)" + (hint.isEmpty ? "" : " (\(hint))")
    }
}
