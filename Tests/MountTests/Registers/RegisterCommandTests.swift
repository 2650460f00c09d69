import Glibc
import Testing

extension MountTests.Registers {
    private func withMap(
        _ options: String = "", _ text: String = map, body: (Mount) throws -> Void
    ) throws {
        let path = try Self.write(text, "command.yaml")
        defer { unsafe unlink(path) }
        try withMount(.best, "registers=\(path):memory:regs\(options)") { mount in
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
            for word in ["nothing", "", "..", ".", "/"] {
                let output = try devfs(mount, mount.root, word)
                #expect(
                    output.status == 2 && output.error.contains("no register or block"), "\(word)")
            }
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

    /// "What the map does not let be read is not opened, nor what has an effect when it is read"
    @Test func `what has an effect is read only where it is named, and nothing is tried in vain`()
        throws
    {
        let all = """
            devfs() { '\(Machine.devfs)' registers "$@"; }
            reads() { sed -n 's/^devfs_register_accesses_total{access="read"} //p' metrics; }
            devfs . | grep -q '^fifo .* - '
            devfs . --json | grep -q fifo
            no grep -q fifo <(devfs . --snapshot)
            timeout -s INT 1 '\(Machine.devfs)' registers . --watch --interval 0.05 || true
            """
        try withMap(",read_effects") { mount in
            try mount.fill("regs", [0, 0, 0, 0, 0, 0, 0, 0, 7])
            let output = try mount.bash(
                all + """

                    before=$(reads)
                    devfs fifo | grep -q '^fifo .* 0x00000007 '
                    devfs fifo --snapshot | grep -q 0x00000007
                    echo $(( $(reads) - before ))
                    devfs . --json >/dev/null
                    echo $(( $(reads) - before ))
                    """)
            // id, control, dma/addr.
            #expect(output == "2\n5")
        }
        try withMap { mount in
            try mount.bash(
                all + """

                    devfs fifo | grep -q '^fifo .* - '
                    devfs strobe | grep -q '^strobe .* - '
                    """)
            #expect(!(try mount.log.contains("EACCES")))
        }
    }

    @Test func `who may not read the registers is told so`() throws {
        guard Machine.isRoot else { return }
        try withMap(",allow_other,uid=12345") { mount in
            let file = mount.directory + "/snapshot"
            let entry = "{\"value\": \"0x00000000\", \"fields\": {}}"
            let out = try OpenFile(file, O_WRONLY | O_CREAT | O_TRUNC)
            try out.write("{\"source\": \"\", \"registers\": {\"dma/addr\": \(entry)}}")
            out.close()
            unsafe chmod(file, 0o644)
            unsafe chmod(mount.directory, 0o755)
            let modes: [[String]] = [
                [], ["--json"], ["--snapshot"], ["--restore", file, "--force"],
            ]
            for words in modes {
                let output = try Child(
                    [
                        "setpriv", "--reuid=54321", "--regid=54321", "--clear-groups",
                        Machine.devfs, "registers", mount.root,
                    ] + words
                ).wait()
                #expect(output.status == 1 && output.text == "", "\(words) \(output.text)")
                #expect(output.error.contains("Permission denied"), "\(words) \(output.error)")
            }
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

    /// "A snapshot is checked first: nothing is written of one that has what the mount has not"
    @Test func `nothing is restored of a snapshot that is wrong anywhere`() throws {
        let text =
            Self.map + """

                - name: z
                  offset: 0x200
                  registers:
                  - name: r
                    offset: 0
                    fields:
                    - {name: k, bits: 3:0, values: {"10": 2}}
                    - {name: l, bits: 7:4, range: 0-9}
                    - {name: irq, bits: 8, write: 1c}
                """
        try withMap("", text) { mount in
            let (good, bad) = (mount.directory + "/good", mount.directory + "/bad")
            let output = try mount.bash(
                """
                devfs() { '\(Machine.devfs)' registers "$@"; }
                echo 10 >registers/z/r/k
                devfs . --snapshot >'\(good)'
                echo 0 >registers/z/r/k
                echo slow >registers/control/mode
                wrong() {
                    sed "$1" '\(good)' >'\(bad)'
                    no cmp -s '\(good)' '\(bad)'
                    if devfs . --restore '\(bad)' >'\(bad).out' 2>&1; then exit 1; fi
                    sed 's/of memory:[^,:]*/of M/g' '\(bad).out'
                    [[ $(<registers/control/mode) = '0 slow' ]]
                }
                wrong 's/"0x0000000a"/"0x10000000a"/'
                wrong 's/"0x0000000a"/"ten"/'
                wrong 's/"k" *: *"10"/"k": "16"/'
                wrong 's/"k" *:/"x":/'
                wrong 's/"0x0000000a"/"0x000000aa"/; s/"l" *: *"0"/"l": "10"/'
                wrong 's,"dma[^"]*addr","dma/gone",'
                wrong 's,"memory:,"memory:x,'
                mkfifo '\(bad).fifo'
                for file in '\(bad).fifo' /dev/zero; do
                    if timeout 5 '\(Machine.devfs)' registers . --restore "$file" \\
                        >'\(bad).out' 2>&1; then exit 1; fi
                    grep -o 'it is no regular file' '\(bad).out'
                done
                sed 's,"memory:,"memory:x,' '\(good)' >'\(bad)'
                devfs . --restore '\(bad)' --force
                cat registers/z/r/k
                """)
            let lines = output.split(separator: "\n").map(String.init)
            let nothing = "devfs: reading \(bad): nothing is restored"
            func told(_ why: String) -> [String] { ["z/r: \(why)", nothing] }
            #expect(
                lines.map { $0.replacing("devfs: z/r", with: "z/r") } == told(
                    "'0x10000000a' is no value of 32 bits")
                    + told("'ten' is no value of 32 bits")
                    + told("k is '16', which is not what 0x0000000a has there")
                    + told("it has no field x") + told("l does not take 10")
                    + ["devfs: dma/gone: no such register", nothing]
                    + [
                        "devfs: reading \(bad): it is a snapshot of M, not of M: --force restores "
                            + "it all the same", "it is no regular file", "it is no regular file",
                        "control/mode 1", "z/r/k 10", "10",
                    ], "\(output)")
        }
    }

    @Test func `what is no snapshot is refused, and so are paths out of the tree`() throws {
        try withMap { mount in
            let file = mount.directory + "/snapshot"
            func refused(_ text: String) throws -> Output {
                let out = try OpenFile(file, O_WRONLY | O_CREAT | O_TRUNC)
                try out.write(text)
                out.close()
                return try devfs(mount, ".", "--restore", file, "--force")
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
