import SystemPackage

/// What could not be set up: what was tried, on what, why not or what to do.
package struct SetupError: Error, Sendable, CustomStringConvertible {
    /// What was tried and on what, for example `mounting /mnt/dma`.
    package var attempt: String
    /// The error of the call that failed.
    package var errno: Errno
    /// Why, or what to do about it: one sentence; empty where nobody knows.
    package var hint: String

    package init(_ attempt: String, _ errno: Errno, hint: String = "") {
        self.attempt = attempt
        self.errno = errno
        self.hint = hint
    }

    package var description: String {
        "\(attempt): \(errno)" + (hint.isEmpty ? "" : " (\(hint))")
    }
}
