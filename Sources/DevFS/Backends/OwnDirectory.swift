import CFuse
import Glibc
import SystemPackage

/// Directories in which this user keeps what others must not lead elsewhere.
enum OwnDirectory {
    /// Makes a directory where it is missing, and refuses one of somebody else, one that others can
    /// write to, and a symbolic link: anyone may have put it there before us.
    ///
    /// - Parameter path: absolute; the one that it is in is this user's or root's.
    static func make(_ path: String, mode: mode_t = 0o755) throws(SetupError) {
        let attempt = "making \(path)"
        do throws(Errno) {
            try Syscalls.makeDirectory(path, mode: mode)
            let directory = try Syscalls.open(
                path, flags: cfuse_o_path | O_NOFOLLOW | O_DIRECTORY)
            let status = try Syscalls.status(of: directory.raw)
            guard status.uid == geteuid(), status.mode & 0o022 == 0 else {
                throw .permissionDenied
            }
        } catch .permissionDenied {
            throw SetupError(
                attempt, .permissionDenied,
                hint: "it has to be this user's alone; see ls -ld \(path.shellQuoted)")
        } catch {
            throw SetupError(attempt, error)
        }
    }
}
