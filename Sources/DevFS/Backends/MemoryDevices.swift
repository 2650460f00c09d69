import Glibc
import SystemPackage

/// A memory device as `devfs device list` shows it.
package struct MemoryDeviceInfo: Sendable, Codable, Equatable {
    /// Without `memory:`.
    package var name: String
    package var path: String
    /// Bytes: the limit and what is in use.
    package var size: UInt64
    package var used: UInt64
    package var buffers: Int
    package var mountpoint: String?
    /// A server runs.
    package var alive: Bool
}

/// The memory devices of this user.
package enum MemoryDevices {
    /// Mounts of a device, dead ones included.
    static func mounts(of source: String) throws(Errno) -> [MountEntry] {
        try MountEntry.all().filter { $0.isOurs && $0.source == source }
    }

    /// All devices, by name; a device that can't be read is left out.
    package static func list() -> [MemoryDeviceInfo] {
        let names = (try? Syscalls.names(in: MemoryDevice.base())) ?? []
        // A table that can't be read says where nothing is mounted, and nothing else.
        let mounts = ((try? MountEntry.all()) ?? []).filter(\.isOurs)
        let places = Dictionary(
            mounts.map { ($0.source, $0.mountpoint) }, uniquingKeysWith: { first, _ in first })
        return names.compactMap { text in
            guard let name = Name(text) else { return nil }
            let device = MemoryDevice(name)
            return try? info(device, mountpoint: places[device.source])
        }
    }

    private static func info(
        _ device: MemoryDevice, mountpoint: String?
    ) throws(SetupError) -> MemoryDeviceInfo {
        let isMounted = try device.isMounted()
        do throws(Errno) {
            let lock = try Syscalls.open("\(device.path)/lock", flags: O_RDWR | O_NOFOLLOW)
            let isAlive = try Syscalls.isClaimed(lock.raw)
            let store = try MemoryStore(device, isPrivate: isMounted)
            let space = try store.space()
            return MemoryDeviceInfo(
                name: String(device.name), path: device.path, size: space.size,
                used: space.used, buffers: try store.nameCount(), mountpoint: mountpoint,
                alive: isAlive)
        } catch {
            throw SetupError("reading \(device.path)", error)
        }
    }

    /// The kernel gives the files of a mount that just ended back a moment after the server has
    /// gone: what is busy then is tried again for a second.
    private static let patience = Patience(attempts: 51, microseconds: 20_000)

    /// Deletes the tmpfs, or the files where there is none.
    /// - Throws: EBUSY where somebody has one of the buffers; nothing is deleted then. ENOTEMPTY
    ///   where there are buffers below the tmpfs, which were not to be seen.
    static func removeData(of device: MemoryDevice) throws(SetupError) {
        let wasMounted = try device.isMounted()
        do throws(Errno) {
            guard (try? Syscalls.status(of: device.data)) != nil else { return }
            try removeStore(of: device, isMounted: wasMounted)
        } catch {
            throw failure(error, device, wasMounted: wasMounted)
        }
        guard wasMounted else { return }
        guard try !device.isMounted() else {
            throw failure(.directoryNotEmpty, device, wasMounted: true)
        }
        do throws(Errno) {
            // Nothing, or what earlier versions made in the moment before they mounted the tmpfs.
            let below = try MemoryStore(device, isPrivate: false, makes: true)
            if try below.nameCount() > 0 { throw .directoryNotEmpty }
            try below.removeAll()
            try Syscalls.removeDirectory(device.data)
        } catch {
            throw failure(error, device, wasMounted: true)
        }
    }

    private static func removeStore(
        of device: MemoryDevice, isMounted: Bool
    ) throws(Errno) {
        do {
            let store = try MemoryStore(device, isPrivate: isMounted, makes: true)
            // A tmpfs is not busy for a descriptor that only reads: that is of another mount of it.
            try patience.retry { () throws(Errno) in
                if try store.isInUse() { throw .resourceBusy }
            }
            if !isMounted { try store.removeAll() }
        }
        if isMounted {
            try patience.retry { () throws(Errno) in try Syscalls.unmount(device.data) }
        } else {
            try Syscalls.removeDirectory(device.data)
        }
    }

    private static func failure(
        _ error: Errno, _ device: MemoryDevice, wasMounted: Bool
    ) -> SetupError {
        let hint =
            switch error {
            case .resourceBusy: inUse(device)
            case .directoryNotEmpty where wasMounted: hidden(device)
            case .directoryNotEmpty: "see ls -lA \(device.data.shellQuoted)"
            default: ""
            }
        return SetupError("removing \(device.source)", error, hint: hint)
    }

    private static func inUse(_ device: MemoryDevice) -> String {
        "a program has one of its buffers open or mapped, by a descriptor that the mount or its "
            + "socket gave it: end that program; fuser -m \(device.data.shellQuoted) may name it"
    }

    private static func hidden(_ device: MemoryDevice) -> String {
        "its tmpfs is deleted; below that, in \(device.data), are buffers of another server: keep "
            + "what you need of them, and delete them by the same command again"
    }

    /// True if `source` names a device of files that there is not.
    static func isMissing(_ source: String) -> Bool {
        guard let device = MemoryDevice(source: source) else { return false }
        do throws(Errno) {
            _ = try Syscalls.status(of: device.path)
            return false
        } catch {
            return error == .noSuchFileOrDirectory
        }
    }

    /// Deletes a device with all its buffers.
    /// - Parameter name: with or without `memory:`, or with `vfio:`.
    /// - Throws: ENOENT, EINVAL, EBUSY while it is mounted or somebody has one of its buffers.
    package static func remove(_ name: String) throws(SetupError) {
        let source = name.contains(":") ? name : "memory:\(name)"
        guard let device = MemoryDevice(source: source) else {
            let text = name.hasPrefix("memory:") ? name.dropFirst("memory:".utf8.count) : name[...]
            throw SetupError(
                "removing device \(name)", Name.obstacle(text)?.errno ?? .invalidArgument,
                hint: "see devfs device list")
        }
        let attempt = "removing \(device.source)"
        do throws(Errno) {
            _ = try Syscalls.status(of: device.path)
        } catch {
            throw SetupError(
                attempt, error,
                hint: error == .noSuchFileOrDirectory ? "see devfs device list" : "")
        }
        let lock = try device.lock()
        try DeadMounts(of: device.source).remove(for: attempt)
        try removeData(of: device)
        do throws(Errno) {
            for file in ["socket", "owners", "keeper", "limit", "lock"] {
                try? Syscalls.unlink("\(device.path)/\(file)", at: Syscalls.currentDirectory)
            }
            try Syscalls.removeDirectory(device.path)
            if geteuid() != 0 { removeBase() }
        } catch {
            throw SetupError(
                attempt, error,
                hint: error == .directoryNotEmpty
                    ? "its buffers are deleted; see ls -lA \(device.path.shellQuoted)" : "")
        }
        lock.letGo()
    }

    /// Gives a device that is mounted another limit, and another policy of huge pages, where they are
    /// asked for.
    /// - Throws: EBUSY where more than that is in use; ENOTSUP where the server keeps the limit.
    package static func change(
        _ source: String, size: UInt64?, huge: String?
    ) throws(SetupError) {
        guard size != nil || huge != nil else { return }
        let attempt = "resizing \(source)"
        guard let device = MemoryDevice(source: source) else {
            throw SetupError(attempt, .invalidArgument, hint: "it is no memory device")
        }
        guard try device.isMounted() else {
            throw SetupError(
                attempt, .notSupported,
                hint: "it has no tmpfs of its own: unmount it, and mount it with size=")
        }
        _ = try device.mountData(size: size, huge: huge)
    }

    /// The last device of an ordinary user takes the directory of all with it.
    private static func removeBase() {
        let base = MemoryDevice.base()
        guard let directory = try? Syscalls.open(base, flags: O_RDONLY | O_DIRECTORY),
            let names = try? Syscalls.names(in: directory.raw),
            names.allSatisfy({ $0 == ".mounting" })
        else { return }
        // Two servers of his that mount on one directory in this moment stack: harmless.
        try? Syscalls.unlink(".mounting", at: directory.raw)
        try? Syscalls.removeDirectory(base)
    }
}
