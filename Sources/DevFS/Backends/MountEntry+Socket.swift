import Glibc

extension MountEntry {
    /// Where the server of the mount listens, found without asking the mount; nil where another user
    /// says what the mount is.
    package var socketPath: String? {
        guard type == "fuse.devfs", !isStrangers else { return nil }
        let base = MemoryDevice.base(of: user ?? geteuid())
        for (prefix, mark) in [("memory:", ""), ("/dev/devfs/", ".")] where source.hasPrefix(prefix)
        {
            guard let name = Name(source.dropFirst(prefix.count)) else { return nil }
            return "\(base)/\(mark)\(name)/socket"
        }
        return nil
    }
}
