import Glibc
import SystemPackage

/// What `-o` can say about a mount.
///
/// `parse(_:)` reads the same text from `devfs mount -o`, from mount(8) by way of `mount.devfs`, and
/// from an fstab line, which is why options meant for mount(8) or systemd alone are accepted too.
package struct MountOptions: Sendable, Equatable {
    /// `size=`: limit of the memory device in bytes, 1 to 2^63-1. Nil keeps the size of a device
    /// that exists and gives a new one 64 MiB. Meaningless for a device of the kernel module.
    package var size: UInt64?
    /// `uid=`: owner of the tree and of new buffers, a number below 2^32-1 or a user's name.
    /// Nil: the user who mounts owns the tree, and each buffer belongs to the process that made it.
    package var uid: UInt32?
    /// `gid=`: group of the tree and of new buffers, a number below 2^32-1 or a group's name.
    /// Nil: as for `uid`.
    package var gid: UInt32?
    /// `umask=`: permission bits taken from every file and directory, octal, 0 to 777.
    package var umask: UInt16 = 0o022
    /// `heap=`: heap of buffers that are made without naming one (by `cp`, `truncate`, ...):
    /// the name of a `Heap`.
    package var heap: String = "system"
    /// `allow_other`: users other than the one who mounts may enter, as far as the modes let them.
    package var allowOther: Bool = false
    /// `ro`: every write is `EROFS`.
    package var readOnly: Bool = false
    /// `remount`: a mount that is there gets other flags of the kernel's, and nothing else changes.
    package var isRemount = false
    /// `passthrough`: true, the mount fails where buffers cannot be zero-copy;
    /// `no_passthrough`: false, buffers are served by the server. Nil: zero-copy where possible.
    package var passthrough: Bool?
    /// `io_uring`, `no_io_uring`: requests come by FUSE-over-io_uring where kernel and libfuse have
    /// it.
    package var ioUring: Bool = false
    /// `poll`, `no_poll`: false, `poll(2)` of every file of the mount says at once that it is ready
    /// and no request asks the server. The kernel can't leave it out for buffers alone, and
    /// an io_uring of a client polls ahead of each transfer.
    package var poll: Bool = true
    /// `sandbox`, `no_sandbox`: false, the server keeps all its capabilities and system calls, for
    /// debuggers and sanitizers.
    package var sandbox: Bool = true
    /// `keeper`, `no_keeper`: a process of its own keeps the mount where the server dies, and starts
    /// the next one.
    package var keeper: Bool = false
    /// `keeper_crashes=`: servers that may die in a minute before the keeper gives up; 0 is any number.
    package var keeperCrashes: UInt32 = 20
    /// `huge=`: huge pages of the memory device's tmpfs, `never`, `always`, `within_size` or
    /// `advise` (tmpfs(5)). Nil: what the device has, and for a new one `within_size`.
    package var hugePages: String?
    /// `dma_bits=`: address bits that a device of vfio's drives, 24 to 64. Nil: all that the IOMMU has.
    package var dmaBits: Int?
    /// `quota_WORD=`: what one user other than root and the mount's owner can have, by the word of a
    /// `Quotas.Resource`. Those that are not given have their defaults.
    package var quotas: [String: UInt64] = [:]
    /// `registers=FILE[:REGION[:OFFSET]]`, each of them: maps of registers, which are files then.
    package var registers: [RegisterSource] = []
    /// `read_effects`: registers can be read whose read has an effect.
    package var readEffects = false
    /// Options for the kernel or fusermount3, in the order given and without those that a later one
    /// took back: `ro rw noexec exec nosuid suid nodev dev noatime atime sync dirsync`.
    /// `dev` and `suid` are root's; for others they are left out.
    package var kernelOptions: [String] = []
    /// The names of the options that were given, those left out that change nothing.
    private(set) var given: Set<String> = []

    /// The defaults, as of a mount without `-o`.
    package init() {}

    /// Reads the values of `-o`, each a comma-separated list. A later option wins over an earlier.
    ///
    /// - Parameter isSloppy: unknown options are no error (`mount -s`); bad values still are.
    /// - Throws: `EINVAL` naming the option that is unknown or has a bad value.
    package static func parse(
        _ texts: [String], isSloppy: Bool = false
    ) throws(SetupError) -> MountOptions {
        try parse(texts, isSloppy: isSloppy, isRoot: geteuid() == 0)
    }

    static func parse(
        _ texts: [String], isSloppy: Bool = false, isRoot: Bool
    ) throws(SetupError) -> MountOptions {
        var options = MountOptions()
        for text in texts {
            for item in text.split(separator: ",").map(String.init) {
                let isKnown = try options.apply(item, isRoot: isRoot)
                let key = String(item.prefix { $0 != "=" })
                if isKnown && !isIgnored(key) { options.given.insert(key) }
                guard isKnown || isSloppy else {
                    let near = Suggestion.nearest(key, names).map { "; did you mean \($0)?" } ?? ""
                    throw invalid(item, "no such option; `devfs mount --help` lists them\(near)")
                }
            }
        }
        return options
    }
}

extension MountOptions {
    private static func isIgnored(_ key: String) -> Bool {
        ignored.contains(key) || ignoredKeys.contains(key) || key.hasPrefix("x-")
            || key.hasPrefix("X-")
    }

    private static let hugePolicies = ["never", "always", "within_size", "advise"]

    /// Generic options with the one that takes each back; an empty string where nothing does.
    private static let kernelPairs = [
        "ro": "rw", "rw": "ro", "exec": "noexec", "noexec": "exec", "suid": "nosuid",
        "nosuid": "suid", "dev": "nodev", "nodev": "dev", "atime": "noatime", "noatime": "atime",
        "sync": "async", "async": "sync", "dirsync": "",
    ]

    /// Read by mount(8), systemd or an older kernel; nothing is left for a file system to do.
    private static let ignored: Set<String> = [
        "defaults", "auto", "noauto", "user", "users", "nouser", "owner", "noowner", "group",
        "nogroup", "nofail", "_netdev", "relatime", "norelatime", "strictatime", "nostrictatime",
        "diratime", "nodiratime", "lazytime", "nolazytime", "silent", "loud", "mand", "nomand",
        // What libfuse's users and /proc/mounts have. Rights are always checked by the modes, an
        // empty directory was never asked for, and the next mount cleans up after a dead server.
        "default_permissions", "nonempty", "auto_unmount",
    ]
    /// Names and numbers that the mount gives itself; copied from /proc/mounts they do no harm.
    private static let ignoredKeys: Set<String> = [
        "comment", "user", "helper", "uhelper", "fsname", "subtype", "user_id", "group_id",
        "rootmode", "max_read", "blksize",
    ]

    /// The options, for whoever mistyped one.
    private static let names =
        [
            "size", "uid", "gid", "umask", "heap", "huge", "allow_other", "passthrough",
            "no_passthrough", "io_uring", "no_io_uring", "poll", "no_poll", "sandbox", "no_sandbox",
            "registers", "read_effects", "keeper", "no_keeper", "keeper_crashes", "dma_bits",
        ] + Quotas.Resource.allCases.map { "quota_\($0.word)" }
        + kernelPairs.keys.sorted() + ignored.sorted() + ignoredKeys.sorted()

    /// Takes one option; false if there is none like it.
    private mutating func apply(_ item: String, isRoot: Bool) throws(SetupError) -> Bool {
        if item.hasPrefix("x-") || item.hasPrefix("X-") { return true }
        guard let equals = item.firstIndex(of: "=") else {
            return try apply(flag: item, isRoot: isRoot)
        }
        let value = String(item[item.index(after: equals)...])
        return try apply(key: String(item[..<equals]), value: value, item: item)
    }

    private mutating func apply(flag: String, isRoot: Bool) throws(SetupError) -> Bool {
        switch flag {
        case "allow_other": allowOther = true
        case "passthrough": passthrough = true
        case "no_passthrough": passthrough = false
        case "io_uring": ioUring = true
        case "no_io_uring": ioUring = false
        case "poll": poll = true
        case "no_poll": poll = false
        case "sandbox": sandbox = true
        case "no_sandbox": sandbox = false
        case "keeper": keeper = true
        case "no_keeper": keeper = false
        case "remount": isRemount = true
        case "read_effects": readEffects = true
        case "size", "uid", "gid", "umask", "heap", "huge", "registers", "keeper_crashes",
            "dma_bits":
            throw Self.invalid(flag, "it needs a value: \(flag)=VALUE")
        default:
            guard let opposite = Self.kernelPairs[flag] else { return Self.ignored.contains(flag) }
            applyKernelOption(flag, opposite: opposite, isRoot: isRoot)
        }
        return true
    }

    private mutating func applyKernelOption(_ flag: String, opposite: String, isRoot: Bool) {
        if flag == "ro" || flag == "rw" { readOnly = flag == "ro" }
        kernelOptions.removeAll { $0 == flag || $0 == opposite }
        // fusermount3 ignores both of an ordinary user, and says so on stderr at every mount.
        if !isRoot && (flag == "dev" || flag == "suid") { return }
        // There is no flag for it: it is the absence of `sync`.
        if flag != "async" { kernelOptions.append(flag) }
    }

    private mutating func apply(
        key: String, value: String, item: String
    ) throws(SetupError) -> Bool {
        switch key {
        case "size":
            guard let bytes = Number.parse(value), bytes > 0 else {
                throw Self.invalid(item, "size is 1 byte to 2^63-1: \(Number.form)")
            }
            size = bytes
        case "uid":
            guard let id = Self.number(value) ?? Accounts.uid(of: value) else {
                throw Self.invalid(item, "no such user")
            }
            uid = id
        case "gid":
            guard let id = Self.number(value) ?? Accounts.gid(of: value) else {
                throw Self.invalid(item, "no such group")
            }
            gid = id
        case "umask":
            guard Self.isPlain(value, radix: 8), let bits = UInt16(value, radix: 8), bits <= 0o777
            else {
                throw Self.invalid(item, "umask is octal, 0 to 777")
            }
            umask = bits
        case "heap":
            heap = try Self.choice(value, of: Heap.allCases.map(\.name), item: item)
        case "registers":
            registers.append(try Self.registers(value, item))
        case "keeper_crashes":
            guard Self.isPlain(value, radix: 10), let count = UInt32(value), count <= 64 else {
                throw Self.invalid(item, "a number of crashes in a minute, 0 to 64; 0 is any")
            }
            keeperCrashes = count
        case "dma_bits":
            guard Self.isPlain(value, radix: 10), let bits = Int(value), (24...64).contains(bits)
            else { throw Self.invalid(item, "address bits are 24 to 64") }
            dmaBits = bits
        case "huge":
            hugePages = try Self.choice(value, of: Self.hugePolicies, item: item)
        default:
            if key.hasPrefix("quota_") {
                return try apply(quota: String(key.dropFirst("quota_".count)), value, item)
            }
            return Self.ignoredKeys.contains(key)
        }
        return true
    }

    private mutating func apply(
        quota word: String, _ value: String, _ item: String
    ) throws(SetupError) -> Bool {
        guard Quotas.Resource(word: word) != nil else { return false }
        guard let count = Number.parse(value) else {
            throw Self.invalid(item, "a quota is a number, for example quota_\(word)=100")
        }
        quotas[word] = count
        return true
    }

    /// `FILE`, `FILE:REGION`, `FILE:memory:BUFFER`, each with `:OFFSET` behind.
    private static func registers(
        _ value: String, _ item: String
    ) throws(SetupError) -> RegisterSource {
        var words = value.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        var source = RegisterSource(file: words.removeFirst())
        if words.first == "memory" {
            guard words.count > 1 else { throw invalid(item, "FILE:memory:BUFFER") }
            source.buffer = words[1]
            words.removeFirst(2)
        } else if !words.isEmpty {
            source.region = words.removeFirst()
        }
        if !words.isEmpty {
            let text = words.removeFirst()
            guard let offset = Number.plain(text.hasPrefix("-") ? String(text.dropFirst()) : text)
            else { throw invalid(item, "the offset is a number, 0x1000 or -0x1000") }
            source.offset = text.hasPrefix("-") ? 0 &- offset : offset
        }
        let names = [source.file, source.region, source.buffer].compactMap { $0 }
        guard words.isEmpty, names.allSatisfy({ !$0.isEmpty }) else {
            throw invalid(item, "FILE:REGION or FILE:REGION:OFFSET; a file's path has no colon")
        }
        return source
    }

    private static func choice(
        _ value: String, of choices: [String], item: String
    ) throws(SetupError) -> String {
        guard choices.contains(value) else {
            let near = Suggestion.nearest(value, choices).map { "; did you mean \($0)?" } ?? ""
            throw invalid(item, "one of \(choices.joined(separator: ", "))\(near)")
        }
        return value
    }

    private static func invalid(_ item: String, _ hint: String) -> SetupError {
        SetupError("reading the mount option `\(item)`", .invalidArgument, hint: hint)
    }

    /// True if `text` is digits alone: `UInt64.init` would take a sign as well.
    private static func isPlain(_ text: some StringProtocol, radix: Int) -> Bool {
        !text.isEmpty && text.allSatisfy { ($0.hexDigitValue ?? radix) < radix && $0.isASCII }
    }

    /// Bytes as `size=` takes them: decimal or `0x`, with K, M or G (binary) behind, or KiB and so
    /// on; nil for anything else and beyond 63 bits.
    package static func byteCount(_ text: some StringProtocol) -> UInt64? { Number.parse(text) }

    /// A user or group number; -1 means "leave it" to chown(2), so it names nobody.
    private static func number(_ text: String) -> UInt32? {
        guard isPlain(text, radix: 10), let id = UInt32(text), id != .max else { return nil }
        return id
    }
}
