import Glibc
import Testing

@testable import DevFS

@Suite("Mount options")
struct MountOptionsTests {
    private func parse(_ texts: String..., isRoot: Bool = true) throws -> MountOptions {
        try MountOptions.parse(texts, isRoot: isRoot)
    }

    @Test func `no option at all gives the defaults`() throws {
        let options = try parse()
        #expect(options == MountOptions())
        #expect(options.size == nil && options.uid == nil && options.gid == nil)
        #expect(options.umask == 0o022 && options.heap == "system")
        #expect(!options.allowOther && !options.readOnly && !options.ioUring)
        #expect(options.passthrough == nil && options.hugePages == nil)
        #expect(options.kernelOptions.isEmpty)
    }

    @Test func `every option of the mount example is read`() throws {
        let options = try parse("size=64M,uid=1000,gid=1000,umask=007,allow_other,heap=system")
        #expect(options.size == 64 << 20)
        #expect(options.uid == 1000 && options.gid == 1000)
        #expect(options.umask == 0o007)
        #expect(options.allowOther)
        #expect(options.heap == "system")
    }

    @Test(arguments: [
        ("1", 1), ("4096", 4096), ("0x1000", 4096), ("4k", 4096), ("4K", 4096), ("1m", 1 << 20),
        ("3G", 3 << 30), ("0x10M", 16 << 20), ("9223372036854775807", UInt64(Int64.max)),
    ])
    func `a size is decimal or hexadecimal with a binary suffix`(
        text: String, bytes: UInt64
    ) throws {
        #expect(try parse("size=\(text)").size == bytes)
    }

    @Test(arguments: [
        "0", "", "K", "0x", "-1", "+1", "1.5M", "64Q", "1 M", " 1", "4MB", "9223372036854775808",
        "8589934592G", "0x8000000000000000", "18446744073709551616", "٣",
    ])
    func `a size that is zero, malformed or beyond 63 bits is EINVAL`(text: String) {
        #expect(throws: (any Error).self) { try parse("size=\(text)") }
    }

    @Test func `users and groups are numbers or names`() throws {
        let named = try parse("uid=root,gid=root")
        #expect(named.uid == 0 && named.gid == 0)
        #expect(try parse("uid=4294967294").uid == 4_294_967_294)
    }

    @Test(arguments: ["uid=4294967295", "uid=-1", "uid=no-such-user", "gid=no-such-group", "gid="])
    func `a user or group that nobody has is EINVAL`(item: String) {
        #expect(throws: (any Error).self) { try parse(item) }
    }

    @Test(arguments: ["umask=8", "umask=1000", "umask=-1", "umask=+7", "umask=", "umask=0o7"])
    func `a umask that is not octal up to 777 is EINVAL`(item: String) {
        #expect(throws: (any Error).self) { try parse(item) }
    }

    @Test func `a bad value is EINVAL and the message names the option`() throws {
        for item in [
            "heap=fast", "huge=maybe", "dma_bits=23", "dma_bits=65", "dma_bits=+32", "dma_bits",
            "size=x", "nonsense", "nonsense=1", "heap", "ro=1",
        ] {
            let error = try #require(throws: SetupError.self) { try parse("rw,\(item),noexec") }
            #expect(error.errno == .invalidArgument)
            #expect(error.description.contains("`\(item)`"))
            #expect(!error.hint.isEmpty)
        }
    }

    @Test func `a later option wins over an earlier one`() throws {
        let options = try parse(
            "size=1M,ro,passthrough,io_uring,no_poll,umask=0,heap=coherent",
            "size=2M,rw,no_passthrough,no_io_uring,poll,umask=077,heap=contiguous")
        #expect(options.size == 2 << 20)
        #expect(!options.readOnly && options.kernelOptions == ["rw"])
        #expect(options.passthrough == false)
        #expect(!options.ioUring && options.poll)
        #expect(options.umask == 0o077)
        #expect(options.heap == "contiguous")
    }

    @Test func `passthrough is automatic unless it is asked for or refused`() throws {
        #expect(try parse("rw").passthrough == nil)
        #expect(try parse("passthrough").passthrough == true)
        #expect(try parse("no_passthrough").passthrough == false)
    }

    @Test func `address bits are 24 to 64, and can't be changed on a mount`() throws {
        #expect(try parse("dma_bits=28").dmaBits == 28 && parse("size=1M").dmaBits == nil)
        let running = try parse("dma_bits=28")
        let source = "vfio:0000:00:09.0"
        #expect(
            try parse("dma_bits=32").unchangeable(from: running, source: source) == ["dma_bits"])
        #expect(try parse("dma_bits=28").unchangeable(from: running, source: source).isEmpty)
    }

    @Test(arguments: ["never", "always", "within_size", "advise"])
    func `huge pages take the policies of tmpfs`(policy: String) throws {
        #expect(try parse("huge=\(policy)").hugePages == policy)
    }

    @Test func `generic options go to the kernel, and what takes one back removes it`() throws {
        #expect(
            try parse("ro,noexec,nosuid,nodev,noatime,sync,dirsync").kernelOptions
                == ["ro", "noexec", "nosuid", "nodev", "noatime", "sync", "dirsync"])
        #expect(
            try parse("noexec,exec,sync,async,noatime,atime").kernelOptions == ["exec", "atime"])
        #expect(try parse("ro").readOnly)
        #expect(try parse("ro,ro").kernelOptions == ["ro"])
    }

    @Test func `dev and suid are for root alone`() throws {
        #expect(try parse("dev,suid").kernelOptions == ["dev", "suid"])
        #expect(try parse("dev,suid", isRoot: false).kernelOptions.isEmpty)
        #expect(try parse("nodev,dev", isRoot: false).kernelOptions.isEmpty)
        #expect(try parse("nodev,nosuid", isRoot: false).kernelOptions == ["nodev", "nosuid"])
    }

    @Test func `a sloppy parse ignores unknown options, but no bad values`() throws {
        let texts = ["nonsense,size=1M,nonsense=1,ro"]
        #expect(throws: SetupError.self) { try MountOptions.parse(texts) }
        let options = try MountOptions.parse(texts, isSloppy: true)
        #expect(options.size == 1 << 20 && options.readOnly)
        #expect(throws: SetupError.self) { try MountOptions.parse(["size=x"], isSloppy: true) }
    }

    @Test func `a mistyped option is told the nearest, quotas too`() throws {
        for (typed, meant) in [("allow_othr", "allow_other"), ("quota_bufers=1", "quota_buffers")] {
            let error = #expect(throws: SetupError.self) { try parse(typed) }
            #expect(
                error?.hint.hasSuffix("did you mean \(meant)?") == true,
                "\(String(describing: error))")
        }
    }

    @Test func `what an fstab line says to mount and systemd is ignored`() throws {
        let options = try parse(
            "defaults,auto,noauto,user,users,nouser,owner,group,nofail,_netdev,comment=a b,relatime",
            "x-systemd.automount,x-systemd.requires=a.service,X-mount.mkdir,user=lab", "")
        #expect(options == MountOptions())
    }

    @Test func `what libfuse's users and /proc/mounts say is ignored`() throws {
        let options = try parse(
            "nonempty,default_permissions,auto_unmount,fsname=x,subtype=devfs,user_id=0,group_id=0",
            "rootmode=40000,max_read=131072,blksize=4096,relatime,_netdev,users")
        #expect(options == MountOptions())
    }

    /// The lines of fstab(5) and the unit's instances, as the manual, the README and the unit have them.
    private static let pages = [
        "README.md", "docs/howto/boot.md", "docs/man/mount.devfs.8.md",
        "mount-helpers/devfs@.service",
    ]

    @Test func `the manual's lines for boot are right and work together`() throws {
        var sources: Set<String> = []
        var instances: Set<String> = []
        for page in Self.pages {
            let path = #filePath.replacing("Tests/DevFSTests/MountOptionsTests.swift", with: page)
            let file = try Syscalls.open(path, flags: O_RDONLY)
            let text = String(decoding: try contents(of: file.raw), as: UTF8.self)
            for line in text.split(separator: "\n") {
                let fields = line.split(separator: " ")
                if fields.count == 6, fields[2] == "devfs", fields[4...5] == ["0", "0"] {
                    sources.insert(String(fields[0]))
                    // The user lab is not of this machine.
                    let options = try parse(
                        String(fields[3].replacing("id=lab", with: "id=1000")))
                    #expect(options.allowOther, "only root can enter: \(line)")
                    #expect(fields[3].split(separator: ",").contains("nofail"), "\(line)")
                }
                if let match = line.firstMatch(of: /enable --now devfs@([a-z]+)/) {
                    instances.insert("memory:\(match.1)")
                }
            }
        }
        #expect(sources.count > 3 && !instances.isEmpty)
        #expect(sources.isDisjoint(with: instances), "a device is mounted once")
    }
}
