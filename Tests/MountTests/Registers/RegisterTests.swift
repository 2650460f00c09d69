import Glibc
import Synchronization
import Testing

extension MountTests {
    /// Registers by their names, over a buffer of a memory device.
    @Suite struct Registers {
        static let map = """
            registers:
            - {name: id, offset: 0, access: ro, reset: 0x010000ed, fields: [{name: low, bits: 7:0}]}
            - name: control
              offset: 4
              description: What it does.
              fields:
              - {name: start, bits: 0, description: Starts it.}
              - {name: mode, bits: 3:1, values: {slow: 0, fast: 1}}
              - {name: irq, bits: 8, write: 1c}
            - {name: fifo, offset: 8, read_effect: true}
            - {name: strobe, offset: 12, access: wo}
            blocks:
            - {name: dma, offset: 0x100, registers: [{name: addr, offset: 0, width: 64}]}
            """

        private static let counter = Atomic<Int>(0)

        /// A file with a map.
        static func write(_ text: String, _ name: String = "map.yaml") throws -> String {
            let number = counter.add(1, ordering: .relaxed).newValue
            let path = "/tmp/devfs-test-\(getpid())-\(number)-\(name)"
            let file = try OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC)
            defer { file.close() }
            try file.write(text)
            return path
        }

        private func withMap(
            _ mode: Mode = .best, _ options: String = "", _ text: String = map,
            body: (Mount) throws -> Void
        ) throws {
            let path = try Self.write(text)
            defer { unsafe unlink(path) }
            try withMount(mode, "registers=\(path):memory:regs\(options)") { mount in
                try mount.alloc("regs 4K")
                try body(mount)
            }
        }

        private func accesses(_ mount: Mount) throws -> String {
            try mount.bash(
                "echo $(sed -n 's/^devfs_register_accesses_total.* //p' metrics)")
        }

        @Test(arguments: Mode.here)
        func `a shell reads and writes registers and fields by their names`(mode: Mode) throws {
            try withMap(mode) { mount in
                try mount.fill("regs", [0xed, 0, 0, 1, 0xff, 0xff, 0, 0x80])
                try mount.bash(
                    """
                    cd registers
                    [[ $(<id/value) = 0x010000ed && $(<id/low) = 237 ]]
                    [[ $(<control/mode) = 7 ]]
                    echo fast >control/mode
                    [[ $(<control/mode) = '1 fast' ]]
                    shown=$(<control/mode)
                    echo "$shown" >control/mode
                    echo 0 >control/start
                    # The bit that a one would clear got a zero.
                    [[ $(<control/value) = 0x8000fef2 ]]
                    echo 0x1122334455667788 >dma/addr/value
                    no bash -c 'echo 8 >control/mode'
                    no bash -c 'echo 1 >id/value'
                    no cat strobe/value
                    echo 1 >strobe/value
                    """)
                #expect(try mount.contents("regs")[12] == 1)
                #expect(
                    try mount.contents("regs")[256..<264] == [
                        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
                    ])
                #expect(try mount.log.contains("8 is out of range: 0 to 7, or slow (0), fast (1)"))
            }
        }

        /// "no look at a file, no listing and no open is an access"
        @Test func `a crawl reads no register, and none whose read has an effect by no tool`()
            throws
        {
            try withMap { mount in
                try mount.bash(
                    """
                    find . -ls >/dev/null
                    ls -lRa . >/dev/null
                    du -a . >/dev/null
                    find registers -type f -exec stat {} + >/dev/null
                    find registers -newer version >/dev/null
                    """)
                #expect(try accesses(mount) == "0 0")
                // What opens and reads each file gets those that may be read: id, control, dma.
                try mount.bash(
                    """
                    grep -r x registers >/dev/null 2>&1 || true
                    tar -cf - registers 2>/dev/null | wc -c >/dev/null || true
                    cp -a registers "$PWD.copy" 2>/dev/null || true
                    rm -rf "$PWD.copy"
                    """)
                #expect(try mount.log.contains("file=registers/fifo/value"))
                #expect(try mount.log.contains("reading it has an effect: mount with read_effects"))
            }
        }

        /// "neither its `value` nor any field of it is read, whatever walks the tree"
        @Test func `where every read has an effect, nothing that reads all files makes an access`()
            throws
        {
            let text = """
                registers:
                - {name: a, offset: 0, read_effect: true, fields: [{name: f, bits: 3:0}]}
                - {name: b, offset: 4, fields: [{name: f, bits: 3:0, read_effect: true}, {name: g, bits: 4}]}
                """
            try withMap(.best, "", text) { mount in
                try mount.bash(
                    """
                    grep -r x registers >/dev/null 2>&1 || true
                    find registers -type f -exec cat {} + >/dev/null 2>&1 || true
                    cp -a registers "$PWD.copy" 2>/dev/null || true
                    rm -rf "$PWD.copy"
                    no cat registers/b/g
                    no bash -c 'echo 1 >registers/b/g'
                    """)
                #expect(try accesses(mount) == "0 0")
                try mount.bash("echo 1 >registers/b/value")
                #expect(try accesses(mount) == "0 1")
            }
            try withMap(.best, ",read_effects", text) { mount in
                try mount.bash("[[ $(<registers/b/g) = 0 ]]; echo 1 >registers/b/g")
                #expect(try accesses(mount) == "2 1")
            }
        }

        @Test func `one read is one access, and fstat none`() throws {
            try withMap { mount in
                try mount.bash("cat registers/control/mode >/dev/null")
                #expect(try accesses(mount) == "1 0")
                let file = try mount.open("registers/control/value", O_RDONLY)
                defer { file.close() }
                #expect(try file.read(64).count == 11)
                #expect(try accesses(mount) == "2 0")
            }
        }

        @Test func `others than the owner see names, and no values`() throws {
            guard Machine.isRoot else { return }
            try withMap(.best, ",allow_other,uid=12345") { mount in
                let output = try mount.run(
                    "setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "cat",
                    "registers/control/info", "registers/control/value")
                #expect(output.text.contains("field mode 3:1"))
                #expect(output.status == 1 && output.error.contains("Permission denied"))
            }
        }

        @Test func `a mount with a map that can't be had fails, with file, line and reason`() throws
        {
            func failure(_ options: String, status: Int32 = 1) throws -> String {
                let output = try Child(
                    [Machine.devfs, "mount", "-o", options, "memory:t-\(getpid())-bad", "/mnt"]
                ).wait()
                #expect(output.status == status, "\(options)")
                return output.error
            }
            let bad = try Self.write("registers:\n- {name: a, offset: x}", "bad.yaml")
            defer { unsafe unlink(bad) }
            #expect(
                try failure("registers=\(bad):memory:r").hasPrefix(
                    "devfs: reading \(bad):2: Invalid argument ('offset' is a number"))
            #expect(
                try failure("registers=/nonexistent:memory:r").contains("/nonexistent: No such"))
            let good = try Self.write(Self.map, "good.yaml")
            defer { unsafe unlink(good) }
            #expect(try failure("registers=\(good):bar0").contains("FILE:memory:BUFFER"))
            #expect(try failure("registers=\(good)").contains("FILE:memory:BUFFER"))
            #expect(try failure("registers=", status: 78).contains("FILE:REGION"))
            #expect(try failure("registers=\(good):bar0:4:5", status: 78).contains("FILE:REGION"))
            #expect(
                try failure("registers=\(good):bar0:x", status: 78).contains(
                    "the offset is a number"))
            #expect(
                try failure("registers=\(good):memory", status: 78).contains("FILE:memory:BUFFER"))
        }

        @Test func `what is left out of a map is told when it is mounted`() throws {
            let text =
                Self.map + "\n- {name: odd, offset: 0x101, registers: [{name: r, offset: 0}]}"
            try withMap(.best, "", text) { mount in
                #expect(
                    mount.server.errorSoFar.contains("odd/r: 0x101 is no multiple of its width"))
                #expect(names(in: mount.path("registers")).contains("dma"))
            }
        }
    }
}
