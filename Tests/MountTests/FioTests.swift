import Testing

extension MountTests {
    /// fio writes blocks with checksums, and reads them all again.
    @Suite(.enabled(if: Machine.hasFio, "fio is not installed"))
    struct Fio {
        @Test(arguments: Mode.here, ["system", "contiguous"])
        func `fio verifies random blocks written by pwrite`(mode: Mode, heap: String) throws {
            try withMount(mode) { mount in
                try mount.alloc("rx 4M heap=\(heap)")
                try verify(mount, "psync", "--rw=randwrite", "--bs=4k")
                try verify(mount, "psync", "--rw=randrw", "--bsrange=512-64k")
                try verify(mount, "sync", "--rw=write", "--bs=128k")
            }
        }

        @Test(arguments: Mode.here)
        func `fio verifies O_DIRECT blocks of libaio`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.alloc("rx 4M")
                try verify(
                    mount, "libaio", "--rw=randwrite", "--bs=4k", "--direct=1", "--iodepth=8")
            }
        }

        @Test(.enabled(if: Mode.hasPassthrough, "\(Mode.whyNoPassthrough)"))
        func `fio verifies blocks stored through a mapping`() throws {
            try withMount(.passthrough) { mount in
                try mount.alloc("rx 4M")
                try verify(mount, "mmap", "--rw=randwrite", "--bs=4k")
            }
        }

        private func verify(_ mount: Mount, _ engine: String, _ words: String...) throws {
            let command =
                [
                    "fio", "--name=verify", "--filename=\(mount.buffer("rx"))", "--size=4M",
                    "--ioengine=\(engine)", "--verify=crc32c", "--do_verify=1", "--thread",
                    "--verify_state_save=0", "--fallocate=none", "--verify_fatal=1",
                    "--output-format=terse",
                ] + words
            let output = try Child(command, directory: mount.directory).wait(within: .seconds(40))
            #expect(output.status == 0, "\(words): \(output.text)\(output.error)")
            #expect(try mount.size("rx") == 4 << 20)
            #expect(try mount.contents("rx") != zeros(4 << 20))
        }
    }
}
