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

        @Test(
            .enabled(if: Machine.hasIOUring, "io_uring is switched off here"),
            arguments: Mode.here, ["poll", "no_poll"])
        func `fio verifies blocks of a ring of its own`(mode: Mode, option: String) throws {
            try withMount(mode, option) { mount in
                try mount.alloc("rx 4M")
                for direct in ["--direct=0", "--direct=1"] {
                    try verify(
                        mount, "io_uring", "--rw=randwrite", "--bs=128k", "--iodepth=8", direct)
                }
            }
        }

        /// The kernel polls a file that has no FMODE_NOWAIT ahead of each transfer of a ring.
        @Test(
            .enabled(if: Mode.hasPassthrough, "\(Mode.whyNoPassthrough)"),
            .enabled(if: Machine.hasIOUring, "io_uring is switched off here"))
        func `with passthrough and no_poll no transfer of a ring wakes the server`() throws {
            try withMount(.passthrough, "no_poll") { mount in
                try mount.alloc("rx 4M")
                let wakeUps = mount.wakeUps
                try verify(mount, "io_uring", "--rw=randwrite", "--bs=4k", "--iodepth=8")
                // fio writes and reads 1,024 blocks, and opens the file a few times.
                #expect(mount.wakeUps - wakeUps < 300)
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
