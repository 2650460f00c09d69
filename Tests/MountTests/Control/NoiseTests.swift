import Glibc
import Testing

extension MountTests {
    /// A write of 1 MiB of noise to every control file is an error, and the server lives.
    @Suite struct Noise {
        private static let files = [
            "control/alloc", "control/free", "control/sync", "control/signal", "control/stream",
            "attributes/a/size", "attributes/a/name", "attributes/a/lease",
            "attributes/a/sync_offset", "attributes/a/sync_size", "attributes/a/sync_direction",
            "attributes/a/sync_for_cpu", "attributes/a/sync_for_device", "signals/s/enable",
            "signals/s/trigger", "signals/s/notify", "streams/t/watermark", "streams/t/enable",
            "streams/t/ready",
        ]

        @Test(arguments: Mode.here)
        func `a mebibyte of noise to every writable file is an error, and nothing changes`(
            mode: Mode
        ) throws {
            try withMount(mode) { mount in
                try mount.alloc("a 64K")
                try mount.put("s software\n", "control/signal")
                try mount.put("t buffer=a period=4K source=s\n", "control/stream")
                let writable = try mount.bash("find . -type f -perm -200 -not -path './buffers/*'")
                #expect(
                    Set(writable.split(separator: "\n").map { String($0.dropFirst(2)) })
                        == Set(Self.files))
                for (seed, file) in Self.files.enumerated() {
                    for chunk in [1 << 20, 4096, 1 << 17] {
                        let opened = try mount.open(file, O_WRONLY)
                        defer { opened.close() }
                        let noise = pattern(chunk, seed: UInt64(seed))
                        #expect(throws: (any Error).self, "\(file)") { try opened.write(noise) }
                        let letters = [UInt8](repeating: 0x41, count: chunk)
                        #expect(throws: (any Error).self, "\(file)") { try opened.write(letters) }
                        let ones = [UInt8](repeating: 0x31, count: chunk)
                        #expect(throws: (any Error).self, "\(file)") { try opened.write(ones) }
                    }
                }
                #expect(names(in: mount.path("buffers")) == ["a"])
                #expect(names(in: mount.path("signals")) == ["s"])
                #expect(names(in: mount.path("streams")) == ["t"])
                #expect(try mount.size("a") == 65536)
                #expect(try mount.value("signals/s/count") == "0")
                #expect(mount.server.runs)
                let log = try bytes(of: mount.path("control/log"))
                #expect(log.count < 256 * 1500)
                try mount.alloc("b 4k")
            }
        }

        @Test func `noise of dd from urandom is an error of dd`() throws {
            try withMount { mount in
                for file in ["alloc", "free", "sync", "signal", "stream"] {
                    let dd = try mount.run(
                        "dd", "if=/dev/urandom", "of=control/\(file)", "bs=1M", "count=1")
                    #expect(dd.status == 1, "\(file): \(dd.error)")
                }
                try mount.bash(
                    "cat status metrics version features > /dev/null; ls -lR . > /dev/null")
            }
        }
    }
}
