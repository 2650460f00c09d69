import Glibc

extension MountEntry {
    /// Where the server of the mount listens, found without asking the mount; nil where another user
    /// says what the mount is.
    package var socketPath: String? {
        guard type == "fuse.devfs", !isStrangers else { return nil }
        let base = MemoryDevice.base(of: user ?? geteuid())
        return MemoryDevice.directory(of: source, in: base).map { "\($0)/socket" }
    }
}
