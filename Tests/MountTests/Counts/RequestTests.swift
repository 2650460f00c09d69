import Glibc
import Testing

extension MountTests {
    /// What an operation costs, by counts that are the same on every machine.
    @Suite struct Counts {
        private static let operations = 500

        /// Reads, then writes 4 KiB at the start of a buffer again and again.
        private func transfer(_ file: OpenFile, _ count: Int = operations) throws {
            let block = pattern(4096)
            for _ in 0..<count {
                let bytes = try file.read(4096, at: 0)
                #expect(bytes.count == 4096)
            }
            for _ in 0..<count {
                let taken = try file.write(block, at: 4096)
                #expect(taken == 4096)
            }
        }

        @Test(.enabled(if: Mode.hasPassthrough, "\(Mode.whyNoPassthrough)"))
        func `with passthrough no read, write or store of a buffer reaches the server`() throws {
            try withMount(.passthrough) { mount in
                try mount.fill("rx", pattern(1 << 20))
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                let requests = try mount.requests {
                    try transfer(file)
                    let map = try Mapping(file, count: 1 << 20)
                    for page in 0..<256 { map.store([UInt8(page)], at: page * 4096) }
                    #expect(map.load(1, at: 7 * 4096) == [7])
                }
                #expect(requests.isEmpty, "\(requests)")
                // The last request may still be on its way: some run of many has to wake no thread.
                #expect(
                    holds {
                        let before = mount.wakeUps
                        try? transfer(file)
                        return mount.wakeUps == before
                    }, "each run of \(2 * Self.operations) operations wakes the server")
            }
        }

        @Test func `a read or write that the server serves is one request`() throws {
            try withMount(.served) { mount in
                try mount.fill("rx", pattern(1 << 20))
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                let requests = try mount.requests { try transfer(file) }
                #expect(requests == ["read": Self.operations, "write": Self.operations])
                // Of 256 pages at a time; the memory of a reader that is not aligned has one more.
                let whole = try mount.requests { _ = try file.read(1 << 20, at: 0) }
                #expect(whole.keys.elementsEqual(["read"]) && whole["read", default: 0] <= 2)
            }
        }

        /// With runs of 16 MiB that is 120 requests a GB, where reads of `data` are 7630.
        @Test(arguments: Mode.here)
        func `a run of ready is a read and a write, however long it is`(mode: Mode) throws {
            try withMount(mode, "size=64M") { mount in
                try mount.alloc("ring 32M")
                try mount.put("go software\n", "control/signal")
                try mount.put(
                    "t buffer=ring period=1M source=go watermark=16M\n", "control/stream")
                let ready = try mount.open("streams/t/ready", O_RDWR)
                defer { ready.close() }
                let trigger = try mount.open("signals/go/trigger", O_WRONLY)
                defer { trigger.close() }
                let requests = try mount.requests {
                    for number in 0..<20 {
                        try trigger.write("16\n")
                        let line = String(decoding: try ready.read(128), as: UTF8.self)
                        let start = number * (16 << 20)
                        #expect(line == "\(start) \(start % (32 << 20)) \(16 << 20) 0\n")
                        try ready.write("+\(16 << 20)\n")
                    }
                }
                #expect(requests == ["read": 20, "write": 40], "\(requests)")
            }
        }

        @Test(arguments: Mode.here)
        func `an open by path is a look-up, an open, a release and the checks on the way`(
            mode: Mode
        ) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", pattern(4096))
                let requests = try mount.requests {
                    for _ in 0..<10 {
                        let file = try mount.open("buffers/rx")
                        file.close()
                    }
                }
                // `requests` waits for the last release, for which close(2) does not.
                // Fewer where names are lent.
                #expect(1...10 ~= requests["lookup", default: 0], "\(requests)")
                #expect(requests["open"] == 10 && requests["release"] == 10, "\(requests)")
                #expect(Set(requests.keys).isSubset(of: ["lookup", "open", "release", "getattr"]))
                // The kernel checks the permissions of the root, of buffers/ and of the buffer.
                #expect(requests["getattr", default: 0] <= 30, "\(requests)")
            }
        }

        /// Of some run of many: the kernel asks again once what it was lent has expired.
        private func takesNoGetattr(
            _ mount: Mount, _ expected: [String: Int], _ body: () throws -> Void
        ) throws -> Bool {
            var last: [String: Int] = [:]
            let isSo = try holds {
                last = try mount.requests { for _ in 0..<10 { try body() } }
                // The first one of a run asks for the directories on the way.
                let rest = last.filter { $0.key != "getattr" && $0.key != "lookup" }
                let whole = expected.mapValues { $0 * 10 }
                return last["getattr", default: 0] <= 5
                    && rest == whole.filter { $0.key != "lookup" }
                    && last["lookup", default: 0] <= whole["lookup", default: 0]
            }
            #expect(isSo, "\(last) for \(expected)")
            return isSo
        }

        @Test(arguments: Mode.here)
        func `a path is one look-up, whatever is done with it`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.alloc("rx 4K")
                let path = mount.buffer("rx")
                _ = try takesNoGetattr(mount, ["lookup": 1]) { _ = try status(of: path) }
                _ = try takesNoGetattr(mount, ["lookup": 1, "open": 1, "release": 1]) {
                    try mount.open("buffers/rx").close()
                }
                let command = ["lookup": 1, "open": 1, "write": 1, "flush": 1, "release": 1]
                _ = try takesNoGetattr(mount, command) {
                    try mount.put("rx for_cpu\n", "control/sync")
                }
            }
        }

        @Test(.enabled(if: Tools.canTrace, "strace is not installed, or may not trace"))
        func `a buffer that is made and freed takes eight system calls of its store`() throws {
            try withMount(.passthrough) { mount in
                try mount.alloc("first 4K")
                let (_, calls) = try mount.systemCalls {
                    for _ in 0..<100 {
                        try mount.alloc("rx 64K")
                        try mount.put("rx\n", "control/free")
                    }
                }
                let names = ["mkdirat", "fallocate", "symlinkat", "unlinkat"]
                let store = names.map { calls[$0, default: 0] }
                // The directory goes by unlinkat, too.
                #expect(store == [100, 100, 100, 300], "\(calls)")
                // The file, and /proc for who opened the two commands: he, and when he started.
                #expect(calls["openat", default: 0] <= 100 + 330, "\(calls)")
                for call in ["renameat2", "newfstatat", "fstatfs", "readlinkat"] {
                    #expect(calls[call, default: 0] < 50, "\(call): \(calls)")
                }
            }
        }

        @Test(.enabled(if: Tools.canTrace, "strace is not installed, or may not trace"))
        func `a list takes one system call a buffer, and its file's look-up none`() throws {
            try withMount { mount in
                for number in 0..<16 { try mount.alloc("b\(number) 4K") }
                let (total, calls) = try mount.systemCalls {
                    for _ in 0..<50 { _ = try text(of: mount.path("control/alloc")) }
                }
                // 426 a list where each look-up made the text, and each line asked for its owner.
                #expect(calls["newfstatat", default: 0] <= 50 * 17, "\(calls)")
                #expect(total <= 50 * 60, "\(total): \(calls)")
            }
        }

        @Test(.enabled(if: Tools.canTrace, "strace is not installed, or may not trace"))
        func `a command finds its file without making its text`() throws {
            try withMount { mount in
                for number in 0..<100 { try mount.alloc("b\(number) 4K") }
                // The text asks for the status of each buffer; a look-up of the file does not.
                let calls = try mount.systemCalls {
                    for number in 0..<50 { try mount.put("b\(number)\n", "control/free") }
                    for number in 0..<50 { try mount.alloc("c\(number) 4K") }
                }.total
                #expect(calls / 100 < 60, "\(calls) system calls for 100 commands")
            }
        }

        @Test(.enabled(if: Tools.canTrace, "strace is not installed, or may not trace"))
        func `a served read takes three system calls of the server and a write four`() throws {
            try withMount(.served) { mount in
                try mount.fill("rx", pattern(1 << 20))
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                try transfer(file, 10)
                let (total, calls) = try mount.systemCalls { try transfer(file, 200) }
                // The last one may be under way still when strace lets go.
                #expect(calls["writev", default: 0] >= 399, "\(calls)")
                // read, fstat, writev; and pwrite64 for a write. Some slack for threads that start.
                #expect(total <= 200 * 7 + 100, "\(calls)")
            }
        }

        @Test(.enabled(if: Tools.allocationCounter != nil, "the counter can't be built: no cc"))
        func `the server allocates nothing for a read or a write but libfuse's request`() throws {
            try withCountedMount(.served) { mount, allocations in
                try mount.fill("rx", pattern(1 << 20))
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                try transfer(file)
                let before = allocations()
                try transfer(file)
                let count = allocations() - before
                // The counter sees libfuse's own, one a request. Threads of libfuse may start.
                #expect(count >= 2 * Self.operations)
                #expect(count <= 2 * Self.operations + 100, "for \(2 * Self.operations) requests")
            }
        }
    }
}
