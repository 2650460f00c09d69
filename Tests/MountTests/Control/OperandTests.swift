import Glibc
import Testing

extension MountTests {
    /// "A mount and a name can be written as one path, and inside a tree the name alone is
    /// enough": what people type.
    @Suite struct Operands {
        /// Runs bash lines in the root of the tree, `devfs` in PATH and `$M` the mount.
        private func run(_ mount: Mount, _ lines: String) throws -> Output {
            let folder = Machine.devfs.split(separator: "/").dropLast().map { "/" + $0 }.joined()
            return try Child([
                "env", "PATH=\(folder):/usr/bin:/bin:/usr/sbin:/sbin", "M=\(mount.root)", "bash",
                "-c", "cd $M\n\(lines)",
            ]).wait()
        }

        @Test(arguments: [
            "devfs create $M/buffers/rx 4K; devfs rm $M/buffers/rx",
            "devfs create $M rx 4K; devfs rm $M rx",
            "devfs create rx 4K; devfs rm rx",
            "devfs create . rx 4K; devfs rm buffers/rx",
            "devfs create buffers/rx 4K; devfs rm attributes/rx",
            "cd buffers; devfs create rx 4K; devfs rm ./rx",
            "cd /tmp; devfs create $M/attributes/rx 4K; devfs rm $M/buffers $M/buffers/rx",
            "cd $M/..; devfs create mnt rx 4K; devfs rm mnt/buffers rx",
        ])
        func `a buffer is given by path, by mount and name, or by name`(commands: String) throws {
            try withMount { mount in
                let create = commands.split(separator: "; devfs rm")[0]
                let made = try run(mount, "set -e; \(create)")
                #expect(made.status == 0 && made.error == "", "\(made)")
                #expect(names(in: mount.path("buffers")) == ["rx"])
                let both = try run(mount, "devfs rm -f $M rx; set -e; \(commands)")
                #expect(both.status == 0 && both.error == "", "\(both)")
                #expect(names(in: mount.path("buffers")) == [])
            }
        }

        @Test func `each command takes a path, with what comes behind it`() throws {
            try withMount { mount in
                let output = try run(
                    mount,
                    """
                    set -e
                    devfs create buffers/ring 64KiB --lease process -- sh -c 'cat $0/attributes/ring/size' $M
                    devfs create buffers/ring 64KiB
                    devfs sync $M/buffers/ring device --offset 4KiB --length 4K
                    cat attributes/ring/sync_owner
                    echo "go software" > control/signal
                    devfs wait $M/signals/go --timeout 10 > /dev/null &
                    while kill -0 $! 2> /dev/null; do devfs trigger signals/go 3; done
                    wait $!
                    echo "adc buffer=ring period=4KiB source=pattern" > control/stream
                    cd /
                    devfs stream $M/streams/adc/data --bytes 8 | od -An -tu4
                    devfs rm $M ring
                    """)
                #expect(output.status == 0, "\(output)")
                let lines = output.text.split(separator: "\n")
                #expect(lines.first == "65536" && lines[1] == "1", "\(output)")
                #expect(lines.last?.split(separator: " ") == ["0", "1"], "\(output)")
            }
        }

        @Test(arguments: [
            ("devfs rm $M", 64, "which buffer"),
            ("devfs rm", 64, "Usage: devfs rm [<mount>] <name>"),
            ("cd /; devfs rm rx", 2, "/mnt/dma/buffers/rx"),
            ("devfs rm $M rx/y", 64, "which buffer of rx/y"), ("devfs rm $M .x", 64, "not a name"),
            ("devfs rm none", 2, "No such file"),
            ("devfs sync $M/buffers/rx", 64, "cpu or device"),
            ("devfs sync $M rx cup", 64, "cpu or device"),
            ("devfs create x 4MB", 64, "as in 4M"), ("devfs create x 4K 5K", 64, "'5K'"),
            ("devfs create x", 64, "--from"), ("devfs trigger go 0", 64, "1 to 1000000"),
            ("devfs wait go now", 64, "'now'"), ("devfs remove x", 64, "create, rm"),
            ("devfs creat x 4K", 64, "did you mean create?"),
            ("devfs statu", 64, "did you mean status?"),
            ("devfs device rmove x", 64, "did you mean remove?"),
            ("devfs create x 4K --heap sistem", 1, "did you mean system?"),
            (
                "echo 'x 4K heap=contigous' > control/alloc; tail -n 1 control/log", 0,
                "did you mean contiguous?"
            ),
            (
                "echo 'x 4K haep=system' > control/alloc; tail -n 1 control/log", 0,
                "the keys are direction, heap, lease; did you mean heap?"
            ),
            ("echo 'x 4MB' > control/alloc; tail -n 1 control/log", 0, "as in 4M"),
            (
                "echo 'x sofware' > control/signal; tail -n 1 control/log", 0,
                "did you mean software?"
            ),
            ("devfs mount memory:x $M -o alow_other", 78, "did you mean allow_other?"),
            ("devfs mount memory:x $M -o heap=coherant", 78, "did you mean coherent?"),
            ("devfs mount memory:x $M -o size=4MB", 78, "as in 4M"),
        ])
        func `what is wrong is said with what would be right`(
            command: String, status: Int32, words: String
        ) throws {
            try withMount { mount in
                let output = try run(mount, command)
                #expect(output.status == status, "\(output)")
                #expect((output.error + output.text).contains(words), "\(output)")
            }
        }

        @Test(arguments: [
            ("rm $M ''", "rx"), ("rm ''", "rx"), ("sync $M rx ''", "device"),
            ("wait $M ''", "go"), ("stream $M ''", "adc"), ("rm $M/buf", "$M/buffers"),
            ("rm buffers/", "buffers/rx"), ("status ''", "$M"), ("trigger ''", "go"),
            ("top ''", "$M"), ("view $M ''", "rx"), ("view $M ''", "adc"),
            ("mount mem", "$D"), ("device remove m", "$D"), ("device remove memory : t", "$D"),
            ("mount memory :", "$D"), ("mount memory : t", "$D"),
        ])
        func `completions know devices, mounts and what is in them`(
            words: String, offer: String
        ) throws {
            try withMount { mount in
                try mount.alloc("rx 64K")
                try mount.put("go software\n", "control/signal")
                try mount.put("adc buffer=rx period=4K source=go\n", "control/stream")
                let output = try run(
                    mount,
                    """
                    eval "$(devfs --generate-completion-script bash)"
                    . \(Machine.package)/mount-helpers/devfs-completion.bash
                    _init_completion() { :; }
                    words=(devfs \(words))
                    COMP_WORDS=("${words[@]}") COMP_CWORD=$((${#words[@]} - 1))
                    COMP_LINE="${words[*]}" COMP_POINT=${#COMP_LINE} COMP_TYPE=9 COMP_KEY=9
                    complete -p devfs > /dev/null
                    function=$(complete -p devfs | sed 's/.*-F \\([^ ]*\\).*/\\1/')
                    $function devfs "${words[-1]#:}" "${words[-2]}"
                    printf '%s\\n' "${COMPREPLY[@]}"
                    """)
                let wanted = offer.replacing("$M", with: mount.root)
                    .replacing("$D", with: mount.device)
                let offers = output.text.split(separator: "\n").map {
                    $0.last == " " ? $0.dropLast() : $0
                }
                // Of a word with colons bash completes what is behind the last.
                let behind = words.contains(":") ? wanted.split(separator: ":").last : nil
                #expect(offers.contains(behind ?? wanted[...]), "no \(wanted): \(output)")
            }
        }
    }
}
