import DevFSClient
import SystemPackage

/// The exit codes that scripts can rely on; devfs(1) lists them.
enum ExitStatus: Int32 {
    case failed = 1
    case notFound = 2
    /// A mount option that there is not, or with a bad value: EX_CONFIG of sysexits(3).
    case configuration = 78
    case timedOut = 124
    case interrupted = 130
    case terminated = 143
}

/// Why a command ends without having done what it was asked to.
struct Failure: Error, CustomStringConvertible {
    /// What was tried, on what.
    var what: String
    /// Why it could not be done.
    var why: String
    var status: ExitStatus

    init(_ what: String, _ why: String, status: ExitStatus = .failed) {
        self.what = what
        self.why = why
        self.status = status
    }

    /// A system call's error, with what is known beyond it in brackets. Something that is not there
    /// is "nothing found" to a script.
    init(_ what: String, _ errno: Errno, detail: String? = nil, status: ExitStatus? = nil) {
        let why = detail.map { "\(errno) (\($0))" } ?? "\(errno)"
        let usual = errno == .noSuchFileOrDirectory ? ExitStatus.notFound : .failed
        self.init(what, why, status: status ?? usual)
    }

    /// What the library throws. A mount that is none is "nothing found" as well.
    init(_ error: DevFSError) {
        let status: ExitStatus =
            switch error.kind {
            case .notMounted, .notFound: .notFound
            case .noAnswer: .timedOut
            default: .failed
            }
        self.init(error.operation, error.why, status: status)
    }

    /// Ends the command with `status` and no message: everything was said already.
    static func silent(_ status: ExitStatus) -> Failure {
        Failure("", "", status: status)
    }

    var isSilent: Bool { what.isEmpty }
    var description: String { "\(what): \(why)" }
}

/// Does `body`, and says what was being done where it fails.
func attempting<Result>(
    _ what: @autoclosure () -> String, _ body: () throws -> Result
) throws -> Result {
    do {
        return try body()
    } catch let errno as Errno {
        throw Failure(what(), errno)
    }
}

/// Does `body`, and throws its error as one of the command.
func failing<Result: ~Copyable>(
    _ body: () throws(DevFSError) -> Result
) throws(Failure) -> Result {
    do throws(DevFSError) {
        return try body()
    } catch {
        throw Failure(error)
    }
}
