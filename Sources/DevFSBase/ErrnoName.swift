import CDevFSBase
import SystemPackage

/// The names of errno values, `ENOSPC`. `errno(3)`
package enum ErrnoName {
    package static func of(_ error: Errno) -> String {
        guard let name = unsafe devfs_errno_name(error.rawValue) else { return "\(error.rawValue)" }
        return unsafe String(cString: name)
    }
}
