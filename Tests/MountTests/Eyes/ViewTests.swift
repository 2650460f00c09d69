import Glibc
import Testing

extension MountTests {
    /// devfs-view(1).
    @Suite struct View {
        private func view(_ mount: Mount, _ words: [String], _ environment: String...) throws
            -> Output
        {
            try Child(
                ["env", "LC_ALL=C"] + environment + [Machine.devfs, "view"] + words,
                directory: mount.root
            ).wait()
        }

        /// Numpy or struct writes the numbers, `view` says their range.
        @Test func `types are those of numpy, of SigMF, and formats of struct`() throws {
            try withMount { mount in
                try mount.alloc("rx 4K")
                try mount.python(
                    """
                    import subprocess
                    def titles(type, data, *words):
                        with open("buffers/rx", "r+b") as file:
                            file.write(data)
                        text = subprocess.run(
                            ["\(Machine.devfs)", "view", ".", "rx", "--type", type, "--bytes",
                             str(len(data)), *words],
                            check=True, stdout=subprocess.PIPE, text=True,
                            env={**os.environ, "LC_ALL": "C"}).stdout
                        return [line for line in text.splitlines() if " to " in line]

                    numbers = [-3, 7, 100, -120, 5]
                    for names, code in [
                        (["int8", "i1", "byte", "b", "ri8"], "<b"),
                        (["int16", "<i2", "i2", "i16le", "ri16_le", "h", "<h"], "<h"),
                        ([">i2", "i16be", "!h", ">int16"], ">h"), (["int32", "i4"], "<i"),
                        (["int64", "i8", "q"], "<q"), (["i64be"], ">q"),
                        (["float16", "f2", "e"], "<e"), (["float32", "f32le", "rf32_le"], "<f"),
                        ([">f8", "f64be"], ">d"), (["double", "d"], "<d"),
                    ]:
                        data = b"".join(struct.pack(code, n) for n in numbers)
                        for name in names:
                            assert titles(name, data) == ["1: -120 to 100"], (name, titles(name, data))
                    for name, code in [("uint8", "<B"), ("u8", "<Q"), ("uint16", "<H"), ("u32be", ">I")]:
                        data = b"".join(struct.pack(code, n) for n in [1, 200, 3])
                        assert titles(name, data) == ["1: 1 to 200"], name
                    pairs = struct.pack("<4f", 1, -5, 2, 6)
                    for name in ["complex64", "c8", "cf32_le", "cf32"]:
                        assert titles(name, pairs) == ["1 I: 1 to 2", "1 Q: -5 to 6"], name
                    data = struct.pack("<6h", 1, 10, 100, 2, 20, 200)
                    assert titles("i2", data, "--channels", "3") == [
                        "1: 1 to 2", "2: 10 to 20", "3: 100 to 200"]
                    for format in ["<hhI", ">bxHq", "bh", "@bid", "2h4sI", "=bid", "b3xi", "hq", "H 2B"]:
                        count = len(struct.unpack(format, bytes(struct.calcsize(format))))
                        values = [tuple(range(1, count + 1)), tuple(range(11, count + 11))]
                        if "s" in format:
                            values = [v[:2] + (b"text",) + (v[-1],) for v in values]
                        data = b"".join(struct.pack(format, *v) for v in values)
                        want = [f"{i + 1}: {a} to {b}" for i, (a, b) in enumerate(
                            (a, b) for a, b in zip(*values) if a != b"text")]
                        assert titles(format, data) == want, (format, titles(format, data))
                    """)
            }
        }

        @Test func `the plot has the samples where they belong`() throws {
            try withMount { mount in
                try mount.fill(
                    "rx", [UInt8](repeating: 0, count: 400) + [UInt8](repeating: 9, count: 400))
                let lines = try view(mount, ["buffers/rx", "--rate", "1k"]).text
                    .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
                #expect(lines[0] == "rx  800 samples" && lines[1] == "1: 0 to 9")
                // The upper half of a character's place on the right, the lower one on the left.
                #expect(
                    lines[2] == String(repeating: " ", count: 40) + ":"
                        + String(repeating: "'", count: 39)
                        || lines[2] == String(repeating: " ", count: 40)
                            + String(repeating: "'", count: 40)
                )
                #expect(lines[lines.count - 3].hasPrefix(String(repeating: ".", count: 39)))
                #expect(
                    lines[lines.count - 2].hasPrefix("0 s")
                        && lines[lines.count - 2].hasSuffix("800 ms"))
                let braille = try view(mount, ["buffers/rx"], "LC_ALL=C.UTF-8").text
                #expect(
                    braille.contains("\u{2809}\u{2809}") && braille.contains("\u{28c0}\u{28c0}"))
                // A part of it.
                let part = try view(mount, [".", "rx", "--offset", "400", "--bytes", "8"]).text
                #expect(part.contains("rx  8 samples") && part.contains("1: 9 to 9"))
            }
        }

        @Test func `a spectrum has its peak at the sine's frequency and amplitude`() throws {
            try withMount { mount in
                try mount.python(
                    """
                    import math
                    with open("buffers/rx", "wb") as file:
                        file.write(b"".join(struct.pack("<hff", *(
                            round(16384 * math.sin(2 * math.pi * n * 1024 / 8192)),
                            0.25 * math.cos(2 * math.pi * n * 100 / 8192),
                            3)) for n in range(8192)))
                    """)
                let words = [".", "rx", "--type", "<hff", "--fft", "--rate", "8.192M"]
                let lines = try view(mount, words).text.split(separator: "\n")
                #expect(lines[0].contains("spectrum of 8192 samples"))
                #expect(lines.contains("1: -6 dBFS at 1.024 MHz"))
                #expect(lines.contains("2: -12 dB at 100 kHz"))
                #expect(
                    lines.last?.hasPrefix("0 Hz") ?? false
                        && lines.last?.hasSuffix("4.096 MHz") ?? false)
                let iq = try view(mount, [".", "rx", "--type", "cf32", "--bytes", "4K", "--fft"])
                #expect(iq.status == 0 && iq.text.contains("-0.5 of the rate"), "\(iq.error)")
                // What is no number is none of a spectrum's.
                try mount.fill("nan", [0, 0, 0xc0, 0x7f] + [UInt8](repeating: 0xff, count: 60))
                for type in ["f4", "f8", "cf32"] {
                    let odd = try view(mount, [".", "nan", "--type", type, "--fft"])
                    #expect(odd.status == 0 && odd.text.contains("1: -240 dB"), "\(odd.text)")
                    #expect(
                        try view(mount, [".", "nan", "--type", type]).text.contains("no number"))
                }
            }
        }

        @Test func `hexdump has each byte once, with where it is`() throws {
            try withMount { mount in
                try mount.python(
                    """
                    import subprocess
                    data = bytes(range(256)) + bytes(1000) + b"end|"
                    with open("buffers/rx", "wb") as file:
                        file.write(data)
                    def dump(*words):
                        return subprocess.run(
                            ["\(Machine.devfs)", "view", "buffers/rx", "--hexdump", *words], check=True,
                            stdout=subprocess.PIPE, text=True).stdout.splitlines()
                    lines = dump()
                    assert lines[3] == ("00000030  " + " ".join(f"{n:02x}" for n in range(48, 64))
                                        + "  |0123456789:;<=>?|"), lines[3]
                    assert lines[17:19] == ["*", "000004e0  00 00 00 00 00 00 00 00 65 6e 64 7c"
                                            + " " * 14 + "|........end||"], lines[16:]
                    assert lines[-1] == "000004ec" and len(lines) == 20, lines
                    lines = dump("--offset", "16", "--bytes", "20")
                    assert lines[0].startswith("00000010  10 11") and lines[-1] == "00000024", lines
                    """)
                let refused = try view(mount, ["buffers/rx", "--hexdump", "--addresses"])
                #expect(refused.status == 1 && refused.error.contains("sg_table"))
            }
        }

        @Test(
            arguments: [
                (["--type", "i3"], 64, "--type"), (["--type", "<hz"], 64, "--type"),
                (["--type", ""], 64, "--type"), (["--type", "99999999h"], 64, "--type"),
                (["--channels", "0"], 64, "--channels"), (["--channels", "-1"], 64, "--channels"),
                (["--channels", "2", "--type", "hh"], 64, "struct"),
                (["--rate", "0"], 64, "--rate"),
                (["--rate", "fast"], 64, "--rate"), (["--output", "x.jpg"], 64, "--output"),
                (["--force"], 64, "--force"), (["--bytes", "0"], 64, "--bytes"),
                (["--hexdump", "--fft"], 64, "--hexdump"), (["--addresses"], 64, "--addresses"),
                (["--trigger", "5"], 64, "--trigger"), (["--hold"], 64, "--trigger"),
                (["--trigger", "nan"], 64, "--trigger"),
                (["--output", "x.svg", "--watch"], 64, "--output"),
                (["--offset", "1G"], 1, "0 bytes from 1073741824"),
                (["--type", "d", "--bytes", "4"], 1, "a frame is 8"),
                (["--hexdump", "--offset", "1G"], 1, "nothing at 1073741824"),
            ] as [([String], Int32, String)])
        func `bad input is refused, and says what`(words: [String], status: Int32, says: String)
            throws
        {
            try withMount { mount in
                try mount.alloc("rx 4K")
                let output = try view(mount, [".", "rx"] + words)
                #expect(output.status == status && output.error.contains(says), "\(output.error)")
                #expect(output.text.isEmpty)
            }
        }

        @Test func `what is not there, or not to be read, is told`() throws {
            try withMount { mount in
                #expect(try view(mount, [".", "none"]).status == 2)
                #expect(try view(mount, ["streams/none"]).status == 2)
                #expect(try view(mount, ["/tmp/none"]).status == 2)
                try mount.alloc("rx 64K")
                try mount.put("adc buffer=rx period=4K source=pattern\n", "control/stream")
                let odd = try view(mount, ["streams/adc", "--type", "3B"])
                #expect(
                    odd.status == 1 && odd.error.contains("no whole number of frames of 3 bytes"))
                #expect(try view(mount, ["streams/adc", "--offset", "4"]).status == 64)
                #expect(try view(mount, ["streams/adc", "--watch"]).status == 64)
                let reader = try mount.open("streams/adc/data", O_RDONLY)
                let busy = try view(mount, ["streams/adc"])
                #expect(busy.status == 1 && busy.error.contains("busy"), "\(busy.error)")
                reader.close()
                // Of two with the name a path says which.
                try mount.alloc("adc 8")
                #expect(try view(mount, [".", "adc"]).text.hasPrefix("adc  8 samples"))
                let words = try view(mount, ["streams/adc", "--type", "u4"]).text
                    .split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
                // Behind the title and its channel: a period of counters, the newest.
                #expect(words.count >= 2 && words[1] - words[0] == 1023, "\(words)")
                try mount.put("0", "streams/adc/enable")
                _ = try mount.bash("timeout 10 cat streams/adc/data >/dev/null")
                let ended = try view(mount, ["streams/adc"])
                #expect(ended.status == 1 && ended.error.contains("the stream ended"))
            }
        }
    }
}
