import Glibc
import Testing

extension MountTests.Registers {
    private func withMap(body: (Mount) throws -> Void) throws {
        let path = try Self.write(Self.map, "command.yaml")
        defer { unsafe unlink(path) }
        try withMount(.best, "registers=\(path):memory:regs") { mount in
            try mount.alloc("regs 4K")
            try mount.fill("regs", [0xed, 0, 0, 1, 3, 1, 0, 0])
            try body(mount)
        }
    }

    private func devfs(_ mount: Mount, _ words: String...) throws -> Output {
        try Child([Machine.devfs, "registers"] + words, directory: mount.root).wait()
    }

    @Test func `a register is a table of its fields, a block one of its registers`() throws {
        try withMap { mount in
            let one = try devfs(mount, mount.root, "control").text.split(separator: "\n")
            #expect(one.count == 5)
            #expect(one[0].hasPrefix("REGISTER  BITS"))
            #expect(one[1].hasPrefix("control   32    read-write"))
            #expect(one[1].hasSuffix("0x00000103  memory:regs+0x4  What it does."))
            #expect(one[3].hasPrefix("  mode    3:1   read-write             1           fast"))
            let all = try devfs(mount).text.split(separator: "\n")
            #expect(
                all.map { $0.prefix { $0 != " " } } == [
                    "REGISTER", "control", "dma/addr", "fifo", "id", "strobe",
                ])
            #expect(try devfs(mount, "dma.addr").text.contains("0x0000000000000000"))
            #expect(try devfs(mount, mount.path("registers/dma")).text.contains("dma/addr"))
            #expect(try devfs(mount, mount.root, "nothing").status == 2)
        }
        try withMount { mount in
            let output = try Child([Machine.devfs, "registers", mount.root]).wait()
            #expect(output.status == 2 && output.error.contains("no map of registers"))
        }
    }

    @Test func `it is JSON where that is asked for`() throws {
        try withMap { mount in
            let output = try mount.bash(
                """
                '\(Machine.devfs)' registers control --json | python3 -c '
                import json, sys
                register, = json.load(sys.stdin)["registers"]
                assert register["value"] == "0x00000103" and register["region"] == "memory:regs"
                mode = next(f for f in register["fields"] if f["name"] == "mode")
                assert mode["value"] == 1 and mode["meaning"] == "fast", mode
                assert mode["values"] == {"slow": 0, "fast": 1}
                print("good")'
                """)
            #expect(output == "good")
        }
    }

    @Test func `a watch tells each change with its time`() throws {
        try withMap { mount in
            let watch = try mount.start(
                Machine.devfs, "registers", ".", "--watch", "control", "--interval", "0.01",
                "--count", "3")
            _ = holds(within: .seconds(10)) {
                (try? text(of: mount.path("metrics")))?
                    .contains("devfs_register_accesses_total{access=\"read\"} 0") == false
            }
            try mount.bash("echo 0 >registers/control/start; echo slow >registers/control/mode")
            let output = try watch.wait(within: .seconds(20))
            #expect(output.status == 0, "\(output.error)")
            let lines = output.text.split(separator: "\n").map { $0.split(separator: " ") }
            #expect(
                lines.map { $0.dropFirst().joined(separator: " ") }.sorted()
                    // Memory takes the 0 that leaves a real `irq` as it is.
                    == ["control/irq 1 0", "control/mode 1 0", "control/start 1 0"])
            #expect(lines.allSatisfy { UInt64($0[0]) ?? 0 > 0 })
        }
    }

    @Test func `a snapshot is compared and restored, as far as it can be`() throws {
        try withMap { mount in
            let (before, after) = (mount.directory + "/before", mount.directory + "/after")
            let output = try mount.bash(
                """
                devfs() { '\(Machine.devfs)' "$@"; }
                devfs registers --snapshot >'\(before)'
                no devfs registers --diff '\(before)' /nonexistent
                devfs registers --diff '\(before)' '\(before)'
                echo slow >registers/control/mode
                echo 7 >registers/dma/addr/value
                echo 1 >registers/control/irq
                printf '\\0' | dd of=buffers/regs bs=1 seek=5 conv=notrunc status=none
                devfs registers --snapshot >'\(after)'
                ! devfs registers --diff '\(before)' '\(after)'
                devfs registers . --restore '\(before)'
                devfs registers --snapshot | devfs registers --diff '\(before)' /dev/stdin || true
                """)
            let lines = output.split(separator: "\n").map(String.init)
            #expect(
                lines == [
                    "REGISTER      BEFORE              AFTER",
                    "control/irq   1                   0", "control/mode  1                   0",
                    "dma/addr      0x0000000000000000  0x0000000000000007",
                    "control/mode 1", "dma/addr/value 0x0000000000000000",
                    "REGISTER     BEFORE  AFTER", "control/irq  1       0",
                ])
        }
    }

    @Test func `what is no snapshot is refused, and so are paths out of the tree`() throws {
        try withMap { mount in
            let file = mount.directory + "/snapshot"
            func refused(_ text: String) throws -> Output {
                let out = try OpenFile(file, O_WRONLY | O_CREAT | O_TRUNC)
                try out.write(text)
                out.close()
                return try devfs(mount, ".", "--restore", file)
            }
            #expect(try refused("{}").error.contains("no snapshot"))
            let entry = "{\"value\": \"0x1\", \"fields\": {}}"
            let out = "{\"source\": \"x\", \"registers\": {\"../control/free\": \(entry)}}"
            #expect(try refused(out).error.contains("no path of a register"))
            let gone = "{\"source\": \"x\", \"registers\": {\"gone\": \(entry)}}"
            let output = try refused(gone)
            #expect(output.status == 1 && output.error.contains("gone: no such register"))
        }
    }
}
