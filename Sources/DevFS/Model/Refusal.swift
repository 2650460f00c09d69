import SystemPackage

/// Why a command was not carried out: the errno for the caller, the reason for `control/log`.
package struct Refusal: Error, Sendable, Equatable {
    package var errno: Errno
    package var why: String
    /// A command that may become one by what follows.
    var isIncomplete = false

    package init(_ errno: Errno, _ why: String) {
        self.errno = errno
        self.why = why
    }

    /// What is said of a command that was carried out already.
    var isEffect: Bool {
        errno == .fileExists || errno == .noSuchFileOrDirectory || errno == .noSuchProcess
    }

    static func invalid(_ why: String) -> Refusal { Refusal(.invalidArgument, why) }

    static func incomplete(_ why: String) -> Refusal {
        var refusal = invalid(why)
        refusal.isIncomplete = true
        return refusal
    }
}

/// What fails in it is refused with that reason.
func refusing<T>(_ why: String, _ body: () throws(Errno) -> T) throws(Refusal) -> T {
    do throws(Errno) {
        return try body()
    } catch {
        throw Refusal(error, why)
    }
}
