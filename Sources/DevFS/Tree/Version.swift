import CFuse

/// The version of this software, as kmod/version.h has it.
package enum DevFSVersion {
    package static let text = DEVFS_VERSION

    /// The version of the kernel module that is loaded, "before 0.2.0" where it has none; nil where
    /// none is.
    package static func ofModule(in folder: String = "/sys/module/devfs_dma") -> String? {
        guard (try? Syscalls.status(of: folder)) != nil else { return nil }
        guard let bytes = try? Syscalls.contents(of: folder + "/version") else {
            return "before 0.2.0"
        }
        return String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }
}
