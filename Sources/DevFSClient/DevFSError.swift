import SystemPackage

/// Why something could not be done with a mount.
public struct DevFSError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What a program can act on without reading the text.
    public enum Kind: Hashable, Sendable {
        /// The path is not on a DevFS mount, or no mount is of that device.
        case notMounted
        /// The server of the mount gave no answer in time.
        case noAnswer
        /// The server of the mount has died: `ENOTCONN`.
        case serverDied
        /// Nothing of that name: `ENOENT`.
        case notFound
        /// The signal or stream was removed: `ENODEV`.
        case removed
        /// An overrun stopped the stream, and all that was in the ring has been read: `EPIPE`.
        case overrun
        /// What was asked for cannot be: a bad name, an address that is not aligned, a range that
        /// ends beyond the file. No request was made.
        case invalid
        /// The kernel or the server refused it; `errno` says how.
        case refused
    }

    public let kind: Kind
    /// What was tried, on what: `allocating rx`.
    public let operation: String
    /// The error of the call that failed; nil where none was made.
    public let errno: Errno?
    /// Why, in words: what `control/log` of the mount says of the command that it refused, or what
    /// the library knows itself.
    public let reason: String?

    package init(_ kind: Kind, _ operation: String, _ reason: String) {
        self.kind = kind
        self.operation = operation
        errno = nil
        self.reason = reason
    }

    /// A call that failed, with what is known beyond its error.
    package init(_ operation: String, _ errno: Errno, reason: String? = nil, kind: Kind? = nil) {
        self.kind = kind ?? (errno == .noSuchFileOrDirectory ? .notFound : .refused)
        self.operation = operation
        self.errno = errno
        self.reason = reason
    }

    /// The error, and the reason in brackets.
    public var why: String {
        guard let errno else { return reason ?? "" }
        return reason.map { "\(errno) (\($0))" } ?? "\(errno)"
    }

    /// `allocating rx: No space left on device (the limit of the heap is 64M)`
    public var description: String { "\(operation): \(why)" }
}

/// Does `body`; an errno that it throws becomes an error of `operation`.
package func attempting<Result: ~Copyable>(
    _ operation: @autoclosure () -> String, _ body: () throws(Errno) -> Result
) throws(DevFSError) -> Result {
    do throws(Errno) {
        return try body()
    } catch {
        throw DevFSError(operation(), error)
    }
}
