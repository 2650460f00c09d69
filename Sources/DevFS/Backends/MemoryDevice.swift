import CFuse
import Glibc
import SystemPackage

/// The place of a device whose buffers are files: a directory that outlives the server.
///
/// ```
/// /run/devfs/NAME/lock        held while a server runs
///                 data/       a tmpfs of the device's size; an ordinary user's is a directory
///                 data/buffers/NAME    a buffer: a symbolic link, its number and its traits
///                 data/files/NUMBER/   its memory, the file data
///                 data/new/            links that are to replace one
///                 data/next            where the next numbers begin
///                 socket
/// ```
///
/// What vfio drives is at `/run/devfs/.vfio-ADDRESS`, with the address of each buffer in its
/// `files/NUMBER/dma`.
package struct MemoryDevice: Sendable {
    /// Bytes where `size=` is not given.
    package static let defaultSize: UInt64 = 64 << 20

    /// What is mounted: `memory:NAME`, `vfio:ADDRESS`.
    package let source: String
    /// The directory, absolute.
    package let path: String

    var data: String { "\(path)/data" }
    /// The source without its kind.
    var name: Substring { source.drop { $0 != ":" }.dropFirst() }

    /// Where the devices of this user are: `/run/devfs` for root, else on the user's own tmpfs.
    static func base(of user: uid_t = geteuid()) -> String {
        if user == 0 { return "/run/devfs" }
        if let own = unsafe getenv("XDG_RUNTIME_DIR") {
            let directory = unsafe String(cString: own)
            if let status = try? Syscalls.status(of: directory), status.isDirectory,
                status.uid == user, Syscalls.isOnTmpfs(directory)
            {
                return "\(directory)/devfs"
            }
        }
        return "/dev/shm/devfs-\(user)"
    }

    init(_ name: Name) {
        source = "memory:\(name)"
        path = Self.path(name)
    }

    private static func path(_ name: Name, in base: String = base()) -> String {
        "\(base)/\(name)"
    }

    init(of address: PCIAddress) {
        source = Self.source(of: address)
        path = Self.path(address)
    }

    static func source(of address: PCIAddress) -> String { PCIDriver.vfio.source(of: address) }

    /// Not a name of a memory device, which live beside it.
    private static func path(_ address: PCIAddress, in base: String = base()) -> String {
        "\(base)/.vfio-\(address)"
    }

    /// Nil for what is mounted otherwise, and for what is no name.
    init?(source: String) {
        let text = source == "memory" ? "memory:default" : source
        if text.hasPrefix("memory:"), let name = Name(text.dropFirst("memory:".utf8.count)) {
            self.init(name)
        } else if let address = Self.address(of: text) {
            self.init(of: address)
        } else {
            return nil
        }
    }

    /// Of a device that vfio drives.
    static func address(of source: String) -> PCIAddress? {
        source.hasPrefix(PCIDriver.vfioPrefix)
            ? PCIAddress(source.dropFirst(PCIDriver.vfioPrefix.utf8.count)) : nil
    }

    /// Where the server of a source has its socket, for another user's too; nil for what is no source.
    static func directory(of source: String, in base: String) -> String? {
        if source.hasPrefix("memory:") {
            return Name(source.dropFirst("memory:".utf8.count)).map { path($0, in: base) }
        }
        if let address = address(of: source) { return path(address, in: base) }
        let node = source.dropFirst("/dev/devfs/".utf8.count)
        guard source.hasPrefix("/dev/devfs/"), !node.isEmpty, !node.contains("/") else {
            return nil
        }
        return "\(base)/.\(node)"
    }

    /// Servers of this user lock a byte of it while they mount, one for each directory.
    static var mountingLock: String { "\(base())/.mounting" }

    /// Makes the directories where they are missing and refuses those of someone else.
    func makeDirectories() throws(SetupError) {
        try OwnDirectory.make(Self.base())
        try OwnDirectory.make(path)
        try OwnDirectory.make(data, mode: 0o700)
    }

    /// - Throws: EBUSY where a server has the device.
    func lock() throws(SetupError) -> DeviceLock {
        try DeviceLock(in: path, of: source)
    }

    /// `data` is a tmpfs of its own. Only the directory itself is asked, never a list of mounts.
    ///
    /// - Throws: where it can't be told or something else is mounted there. Then nothing must be
    ///   mounted: it would hide the buffers.
    func isMounted() throws(SetupError) -> Bool {
        let attempt = "looking at \(data)"
        do throws(Errno) {
            let above = try Syscalls.open(path, flags: cfuse_o_path | O_NOFOLLOW | O_DIRECTORY)
            let own = try Syscalls.open(
                "data", at: above.raw, flags: cfuse_o_path | O_NOFOLLOW | O_DIRECTORY)
            let isOther = try Syscalls.fileSystem(of: own.raw) != Syscalls.fileSystem(of: above.raw)
            let isRoot = try Syscalls.isMountRoot(own.raw)
            if !isOther && !isRoot { return false }
            if isOther && isRoot, try Syscalls.isOnTmpfs(own.raw) { return true }
        } catch .noSuchFileOrDirectory {
            return false
        } catch {
            throw SetupError(attempt, error)
        }
        throw SetupError(
            attempt, .resourceBusy, hint: "something else is mounted there: umount \(data)")
    }

    /// Files that a device can have: three for each buffer of a page, and for 100,000 empty
    /// ones. It bounds kernel memory too: extended attributes count as files, one for
    /// each KiB. mm/shmem.c, BOGO_INODE_SIZE
    private static func inodes(for size: UInt64) -> UInt64 {
        3 * (size / UInt64.page + 100_000)
    }

    /// Buffers in `data` itself.
    private var buffersBelow: Int { (try? Syscalls.names(in: "\(data)/buffers"))?.count ?? 0 }

    /// Mounts or resizes the tmpfs; false where this user cannot mount one.
    /// - Parameter size: bytes, nil to leave it as it is.
    /// - Throws: ENOTEMPTY where it would hide buffers of a server that could not mount one.
    func mountData(size: UInt64?, huge: String?) throws(SetupError) -> Bool {
        let limit = size.map { "size=\($0)" }
        let inodes = "nr_inodes=\(Self.inodes(for: size ?? Self.defaultSize))"
        let flags = UInt(MS_NOSUID | MS_NODEV | MS_NOEXEC)
        if try isMounted() {
            // One that an earlier version mounted has no limit of them, and can't get one.
            let isLimited = (try? Syscalls.space(of: data))?.files ?? 0 > 0
            let changes = [
                limit, size != nil && isLimited ? inodes : nil, huge.map { "huge=\($0)" },
            ].compactMap { $0 }
            if !changes.isEmpty {
                do throws(Errno) {
                    try Syscalls.mount(
                        "devfs", on: data, type: "tmpfs", flags: flags | UInt(MS_REMOUNT),
                        options: changes.joined(separator: ","))
                } catch .invalidArgument {
                    throw SetupError(
                        "resizing \(source) to \(size ?? 0) bytes", .resourceBusy,
                        hint: "more than that is in use; remove buffers first")
                } catch {
                    throw SetupError("resizing \(source)", error)
                }
            }
            return true
        }
        let options = "mode=0700,\(inodes),\(limit ?? "size=\(Self.defaultSize)")"
        var attempts = ["\(options),huge=\(huge ?? "within_size")"]
        // A kernel without huge tmpfs pages refuses the option; only who asked for it must know.
        if huge == nil { attempts.append(options) }
        let hidden = buffersBelow
        for text in attempts {
            do throws(Errno) {
                try Syscalls.mount("devfs", on: data, type: "tmpfs", flags: flags, options: text)
                if hidden == 0 { return true }
                try Syscalls.unmount(data)
                throw .directoryNotEmpty
            } catch .directoryNotEmpty {
                throw SetupError(
                    "mounting a tmpfs on \(data)", .directoryNotEmpty,
                    hint: "it would hide \(hidden) buffers of a server that could not mount one: "
                        + "mount the device without CAP_SYS_ADMIN, as then, or delete them: "
                        + "devfs device remove \(source)")
            } catch .notPermitted {
                return false
            } catch .invalidArgument {
                continue
            } catch {
                throw SetupError("mounting a tmpfs on \(data)", error)
            }
        }
        throw SetupError(
            "mounting a tmpfs with huge=\(huge ?? "") on \(data)", .invalidArgument,
            hint: "leave the option out")
    }
}
