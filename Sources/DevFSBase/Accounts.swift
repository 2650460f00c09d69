import Glibc

/// The machine's users and groups, whatever service has them.
package enum Accounts {
    /// `getpwnam(3)`
    package static func uid(of user: String) -> UInt32? {
        unsafe getpwnam(user).map { unsafe $0.pointee.pw_uid }
    }

    /// `getgrnam(3)`
    package static func gid(of group: String) -> UInt32? {
        unsafe getgrnam(group).map { unsafe $0.pointee.gr_gid }
    }

    /// The login name of a user, nil where it has none. `getpwuid(3)`
    package static func name(of uid: UInt32) -> String? {
        unsafe getpwuid(uid).map { unsafe String(cString: $0.pointee.pw_name) }
    }
}
