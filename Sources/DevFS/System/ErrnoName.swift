import CFuse
import SystemPackage

/// The names of errno values, `ENOSPC`. `errno(3)`
public enum ErrnoName {
    public static func of(_ error: Errno) -> String {
        guard let name = unsafe cfuse_errno_name(error.rawValue) else { return "\(error.rawValue)" }
        return unsafe String(cString: name)
    }
}
