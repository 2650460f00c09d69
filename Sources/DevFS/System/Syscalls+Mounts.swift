import CFuse
import Glibc
import SystemPackage

/// Raw calls on mounts.
extension Syscalls {
    /// `mount(2)`
    static func mount(
        _ source: String, on directory: String, type: String, flags: UInt, options: String
    ) throws(Errno) {
        try check {
            unsafe options.withCString { unsafe CFuse.mount(source, directory, type, flags, $0) }
        }
    }

    /// `umount2(2)`
    static func unmount(_ directory: String, lazily: Bool = false) throws(Errno) {
        try check {
            unsafe umount2(directory, CInt(UMOUNT_NOFOLLOW) | (lazily ? CInt(MNT_DETACH) : 0))
        }
    }

    /// Takes away, lazily, the mount whose root the descriptor is. `umount2(2)`, MNT_DETACH
    static func detach(_ root: SharedDescriptor) throws(Errno) {
        try withExtendedLifetime(root) { () throws(Errno) -> Void in
            let path = "/proc/self/fd/\(root.raw)"
            try check { unsafe umount2(path, CInt(MNT_DETACH)) }
        }
    }

    /// The mount that a descriptor is on; no file system is asked. `proc_pid_fdinfo(5)`, mnt_id
    static func mountID(of descriptor: CInt) throws(Errno) -> UInt64 {
        let text = try contents(of: "/proc/self/fdinfo/\(descriptor)")
        let key = "mnt_id:\t"
        let line = String(decoding: text, as: UTF8.self).split(separator: "\n")
            .first { $0.hasPrefix(key) }
        guard let id = line.flatMap({ UInt64($0.dropFirst(key.utf8.count)) }) else {
            throw .ioError
        }
        return id
    }

    /// The descriptor is the root of a mount. `statx(2)`
    static func isMountRoot(_ descriptor: CInt) throws(Errno) -> Bool {
        try check { cfuse_is_mount_root(descriptor) } == 1
    }

    /// `fstatfs(2)`
    static func isOnTmpfs(_ descriptor: CInt) throws(Errno) -> Bool {
        try check { cfuse_is_on_tmpfs(descriptor) } == 1
    }

    /// False where it can't be told, too. `statfs(2)`
    static func isOnTmpfs(_ path: String) -> Bool { unsafe cfuse_is_tmpfs(path) }

    /// Registers a regular file for passthrough with a connection of /dev/fuse: its number there.
    /// fs/fuse/backing.c, FUSE_DEV_IOC_BACKING_OPEN
    static func registerBacking(_ file: CInt, with connection: CInt) throws(Errno) -> Int32 {
        let id = cfuse_backing_open(connection, file)
        guard id > 0 else { throw Errno(rawValue: -id) }
        return id
    }

    /// False where there is no such registration. FUSE_DEV_IOC_BACKING_CLOSE
    @discardableResult
    static func dropBacking(_ id: Int32, of connection: CInt) -> Bool {
        cfuse_backing_close(connection, id) == 0
    }

    /// A mount that is nowhere yet on its place, an O_PATH descriptor. `move_mount(2)`
    static func move(_ mount: CInt, to directory: CInt) throws(Errno) {
        try check { cfuse_move_mount(mount, directory) }
    }
}

/// A file system that is being set up, to be mounted by descriptor. `fsopen(2)`
final class MountContext: Sendable {
    private let descriptor: Descriptor

    init(of type: String) throws(Errno) {
        descriptor = Descriptor(owning: try check { unsafe cfuse_fsopen(type) })
    }

    /// A parameter; one without a value is a flag. `fsconfig(2)`
    func set(_ key: String, _ value: String? = nil) throws(Errno) {
        try check { unsafe cfuse_fsconfig(descriptor.raw, key, value) }
    }

    /// A mount of it that is nowhere yet. `fsmount(2)`
    func mount(attributes: UInt32) throws(Errno) -> SharedDescriptor {
        let raw = try check { cfuse_fsmount(descriptor.raw, attributes) }
        return SharedDescriptor(Descriptor(owning: raw))
    }

    /// Why the kernel refused, in its own words; nil where it has none.
    var message: String? {
        var room = [UInt8](repeating: 0, count: 256)
        // Behind its kind: `e `, `w ` or `i `.
        guard let count = try? Syscalls.read(descriptor.raw, into: &room), count > 2 else {
            return nil
        }
        return String(decoding: room[2..<count], as: UTF8.self)
    }
}
