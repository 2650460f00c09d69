import CFuse

/// The version of this software, as kmod/version.h has it.
public enum DevFSVersion {
    public static let text = DEVFS_VERSION
}
