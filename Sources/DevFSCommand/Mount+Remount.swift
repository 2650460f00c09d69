import DevFS
import SystemPackage

/// `devfs mount -o remount,...`: what changes on a mount that is there.
extension MountCommand {
    func remount(_ options: MountOptions) throws {
        let entry = try Mounts.toUnmount(mountpoint)
        try Answers.check(entry.mountpoint, on: entry)
        if let running = Self.options(of: entry) {
            let fixed = options.unchangeable(from: running, source: entry.source)
            guard fixed.isEmpty else {
                throw Failure(
                    what, Errno.invalidArgument,
                    detail: "\(fixed.joined(separator: ", ")) can't be changed while it is "
                        + "mounted: unmount it, and mount it with other options")
            }
        }
        if !entry.source.hasPrefix("/") {
            try MemoryDevices.change(
                entry.source, size: options.size, huge: options.hugePages)
            // The server learns of it by this.
            try attempting(what) { try entry.askSpace() }
        }
        try changeFlags(of: entry, options)
    }

    private var what: String { "remounting \(mountpoint)" }

    private func changeFlags(of entry: MountEntry, _ options: MountOptions) throws {
        do throws(Errno) {
            try entry.remount(options)
        } catch {
            let why =
                switch error {
                case .resourceBusy:
                    "a file is open for writing; `fuser -vm \(mountpoint.shellQuoted)` shows by whom"
                case .notPermitted: "only root can; unmount it, and mount it with other options"
                default: ""
                }
            throw Failure(what, error, detail: why)
        }
    }

    /// What its server was started with, as its command line has it; nil where that is another's.
    private static func options(of entry: MountEntry) -> MountOptions? {
        guard let server = Answers.Server(of: entry) else { return nil }
        defer { try? server.handle.close() }
        guard let line = try? Files.text(of: "/proc/\(server.pid)/cmdline") else { return nil }
        let words = line.split(separator: "\0", omittingEmptySubsequences: false).map(String.init)
        guard words.contains("mount") else { return nil }
        var texts: [String] = []
        for (word, next) in zip(words, words.dropFirst()).prefix(while: { $0.0 != "--" }) {
            if word == "-o" { texts.append(next) }
            if word.hasPrefix("-o"), word != "-o" { texts.append(String(word.dropFirst(2))) }
        }
        return try? MountOptions.parse(texts, isSloppy: true)
    }
}
