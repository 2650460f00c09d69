import Glibc
import SystemPackage
import Testing

@testable import DevFS

@Suite(
    "The memory backend on a tmpfs of its own", .enabled(if: Machine.isRoot, Machine.needsRoot),
    .timeLimit(.minutes(1)))
struct PrivateMemoryConformance {
    @Test(arguments: Conformance.rules(for: .memory)) func `holds what every backend holds`(
        rule: Conformance.Rule
    ) throws {
        try withDevice(.privateTmpfs) { device in try rule.check(device) }
    }
}

@Suite("The memory backend of an ordinary user", .timeLimit(.minutes(1)))
struct DirectoryMemoryConformance {
    @Test(arguments: Conformance.rules(for: .memory)) func `holds what every backend holds`(
        rule: Conformance.Rule
    ) throws {
        try withDevice(.directory) { device in try rule.check(device) }
    }
}

@Suite("The memory backend", .timeLimit(.minutes(1)))
struct MemoryBackendTests {
    @Test(arguments: MemoryForm.available) func `features say whether the tmpfs is private`(
        form: MemoryForm
    ) throws {
        try withDevice(form) { device in
            let backend = try device.backend()
            #expect(backend.source == "memory:\(device.name)")
            #expect(backend.allowsPassthrough == (form == .privateTmpfs))
            let feature = try #require(backend.features.first { $0.name == "private_tmpfs" })
            #expect(feature.isThere == (form == .privateTmpfs))
            #expect(feature.why.isEmpty == feature.isThere)
            for name in ["dma_addresses", "interrupts", "regions"] {
                let feature = try #require(backend.features.first { $0.name == name })
                #expect(!feature.isThere && !feature.why.isEmpty)
            }
        }
    }

    /// Addresses, regions and interrupts are absent or ENODATA, never faked.
    @Test(arguments: MemoryForm.available) func `addresses are ENODATA`(form: MemoryForm) throws {
        try withDevice(form) { device in
            let backend = try device.backend()
            let made = try backend.make("a", size: 1)
            #expect(throws: Errno.noData) { try backend.dmaAddress(of: made) }
            #expect(throws: Errno.noData) { try backend.physicalAddress(of: made) }
            #expect(throws: Errno.noData) { try backend.scatterGather(of: made).count }
            #expect(backend.numaNode(of: made) == -1)
            #expect(backend.isCoherent(made))
        }
    }

    /// "A second mount of a device that is mounted is `EBUSY`."
    @Test(arguments: MemoryForm.available) func `a device that a server has is EBUSY`(
        form: MemoryForm
    ) throws {
        try withDevice(form) { device in
            let backend = try device.backend()
            let error = #expect(throws: SetupError.self) { try device.backend() }
            #expect(error?.errno == .resourceBusy)
            let removal = #expect(throws: SetupError.self) {
                try MemoryDevices.remove(device.name.text)
            }
            #expect(removal?.errno == .resourceBusy)
            withExtendedLifetime(backend) {}
        }
    }

    /// "`EBUSY` ... while a program has one of its buffers open or mapped"
    @Test(arguments: MemoryForm.available)
    func `a device is not removed while somebody has one of its buffers`(form: MemoryForm) throws {
        try withDevice(form) { device in
            var descriptor: CInt = -1
            do {
                let backend = try device.backend()
                let made = try backend.make("a", size: 4096)
                let given = try backend.openReadOnly(made)
                descriptor = dup(given.raw)
            }
            func removal() throws -> SetupError? {
                do throws(SetupError) {
                    if form == .directory && Machine.isRoot {
                        // The device's own directory is a mount point here.
                        try MemoryDevices.removeData(of: MemoryDevice(device.name))
                    } else {
                        try MemoryDevices.remove(device.name.text)
                    }
                    return nil
                } catch {
                    return error
                }
            }
            let open = try removal()
            #expect(open?.errno == .resourceBusy)
            #expect(open?.hint.contains("end that program") == true)
            let mapping = try Mapping(of: descriptor, count: 4096)
            _ = close(descriptor)
            let mapped = try removal()
            #expect(mapped?.errno == .resourceBusy)
            withExtendedLifetime(mapping) {}
            let count = try device.backend().buffers().count
            #expect(count == 1)
        }
    }

    @Test(.enabled(if: Machine.isRoot, "only root mounts a tmpfs"))
    func `a device that is mounted with another size has files for that`() throws {
        try withDevice(.privateTmpfs) { device in
            var files: [UInt64] = []
            for size in [device.size, 1 << 30] {
                _ = try device.backend(size: size)
                files.append(try Syscalls.space(of: MemoryDevice(device.name).data).files)
            }
            #expect(files[0] >= 3 * (device.size / UInt64.page))
            #expect(files[1] - files[0] == 3 * ((1 << 30) - device.size) / UInt64.page)
        }
    }

    /// "a server that could mount one does not hide them: `ENOTEMPTY`"
    @Test(.enabled(if: Machine.isRoot, "only root mounts a tmpfs"))
    func `no tmpfs is mounted over buffers, and what is below one is not lost`() throws {
        try withDevice(.privateTmpfs) { device in
            let below = MemoryDevice(device.name)
            try Machine.withoutSystemAdministration {
                _ = try device.backend().make("a", size: 4096)
            }
            let hiding = #expect(throws: SetupError.self) { try device.backend() }
            #expect(hiding?.errno == .directoryNotEmpty)
            #expect(hiding?.hint.contains("would hide 1 buffers") == true)
            let isMounted = try below.isMounted()
            #expect(!isMounted)
            // As an earlier version did it.
            try Syscalls.mount(
                "devfs", on: below.data, type: "tmpfs", flags: 0, options: "size=1M,mode=0700")
            _ = try device.backend().make("b", size: 4096)
            let removal = #expect(throws: SetupError.self) {
                try MemoryDevices.remove(device.name.text)
            }
            #expect(removal?.errno == .directoryNotEmpty)
            #expect(removal?.hint.contains("by the same command again") == true)
            let found = try Machine.withoutSystemAdministration {
                try device.backend().buffers().map(\.name.text)
            }
            #expect(found == ["a"])
        }
    }

    /// Else `device list` in the moment between the directory and its tmpfs leaves some below it.
    @Test func `a look at a device makes nothing in it`() throws {
        try withDevice(alone: true) { device in
            let place = MemoryDevice(device.name)
            try place.makeDirectories()
            _ = try place.lock()
            _ = MemoryDevices.list()
            let data = try Syscalls.open(place.data, flags: O_RDONLY | O_DIRECTORY)
            #expect(try Syscalls.names(in: data.raw).isEmpty)
        }
    }

    /// "`size=` of a device that exists changes its limit (`EBUSY` if more is in use)."
    @Test(arguments: MemoryForm.available) func `a new size is the new limit, unless more is used`(
        form: MemoryForm
    ) throws {
        try withDevice(form) { device in
            do {
                let backend = try device.backend()
                _ = try backend.make("a", size: 2 << 20)
            }
            do {
                let backend = try device.backend(size: 3 << 20)
                #expect(try backend.space().size == 3 << 20)
                #expect(try backend.free() == 1 << 20)
            }
            let error = #expect(throws: SetupError.self) { try device.backend(size: 1 << 20) }
            #expect(error?.errno == .resourceBusy)
            let backend = try device.backend(size: 8 << 20)
            #expect(try backend.space().size == 8 << 20)
            #expect(try backend.buffers().count == 1)
        }
    }

    @Test(arguments: MemoryForm.available) func `what a dead server left half done is cleaned up`(
        form: MemoryForm
    ) throws {
        try withDevice(form) { device in
            let data = "\(device.path)/data"
            func names(_ directory: String) throws -> [String] {
                let directory = try Syscalls.open(
                    "\(data)/\(directory)", flags: O_RDONLY | O_DIRECTORY)
                return try Syscalls.names(in: directory.raw)
            }
            func leave(_ path: String) throws {
                let file = try Syscalls.open(
                    "\(data)/\(path)", flags: O_CREAT | O_RDWR, mode: 0o600)
                try Syscalls.allocate(file.raw, 0..<1 << 20)
            }
            var free: UInt64 = 0
            do {
                let backend = try device.backend()
                free = try backend.free()
                // Removed, and its server ended before it was taken away.
                try backend.remove(try backend.make("b", size: 1 << 20))
                _ = try backend.make("a", size: 1)
            }
            // One that it was making, and of the version before one that it had removed.
            try Syscalls.makeDirectory("\(data)/files/76", mode: 0o700)
            try Syscalls.makeDirectory("\(data)/files/77", mode: 0o700)
            try leave("files/77/data")
            try Syscalls.makeDirectory("\(data)/gone", mode: 0o700)
            try Syscalls.makeDirectory("\(data)/gone/5", mode: 0o700)
            try leave("gone/5/data")
            let fresh = try Syscalls.open("\(data)/new", flags: O_RDONLY | O_DIRECTORY)
            try Syscalls.makeLink("1-2", to: "heap=system", at: fresh.raw)
            let backend = try device.backend()
            #expect(
                try holds {
                    try names("new").isEmpty && names("files").count == 1
                        && (try? names("gone")) == nil
                })
            #expect(try names("buffers") == ["a"])
            #expect(try backend.buffers().map(\.name.text) == ["a"])
            #expect(try holds { try backend.free() == free - 4096 })
        }
    }

    /// A device of an earlier version, where `buffers/NAME` was the file.
    @Test(arguments: MemoryForm.available) func `a device of an earlier version is taken over`(
        form: MemoryForm
    ) throws {
        try withDevice(form) { device in
            let data = "\(device.path)/data"
            do { _ = try device.backend() }
            let traits = BufferTraits(
                heap: .contiguous, direction: .toDevice, lease: .none, owner: ProcessID(1),
                ownerStart: 2)
            try Syscalls.makeDirectory("\(data)/traits", mode: 0o700)
            let links = try Syscalls.open("\(data)/traits", flags: O_RDONLY | O_DIRECTORY)
            func old(_ path: String, mode: UInt32) throws -> UInt64 {
                let file = try Syscalls.open(
                    "\(data)/buffers/\(path)", flags: O_CREAT | O_RDWR, mode: 0o600)
                #expect(unsafe pwrite(file.raw, path, path.utf8.count, 0) == path.utf8.count)
                try Syscalls.setMode(file.raw, mode)
                if Machine.isRoot { try Syscalls.setOwner(file.raw, uid: 7, gid: 8) }
                let number = try Syscalls.status(of: file.raw).inode
                try Syscalls.setLink("\(number)", to: traits.text, at: links.raw)
                return number
            }
            // One as it was, and two that a server was converting when it ended.
            var numbers = [try old("one", mode: 0o640), try old("two", mode: 0o604)]
            let owner = Ownership(
                uid: Machine.isRoot ? 7 : geteuid(), gid: Machine.isRoot ? 8 : getegid(),
                mode: 0o640)
            let record = MemoryRecord(traits: traits, owner: owner)
            try Syscalls.makeDirectory("\(data)/buffers/.two", mode: 0o700)
            try Syscalls.makeLink(
                "\(data)/buffers/.two/traits", to: record.text, at: Syscalls.currentDirectory)
            try Syscalls.makeDirectory("\(data)/buffers/.three", mode: 0o700)
            try Syscalls.makeLink(
                "\(data)/buffers/.three/traits", to: record.text, at: Syscalls.currentDirectory)
            numbers.append(try old(".three/data", mode: 0o600))

            let backend = try device.backend()
            let found = try backend.buffers().sorted { $0.id < $1.id }
            #expect(found.map(\.name.text) == ["one", "two", "three"])
            #expect(found.map(\.id.number) == numbers)
            #expect(found.allSatisfy { $0.traits == traits })
            for (buffer, text) in zip(found, ["one", "two", ".three/data"]) {
                let status = try backend.status(of: buffer)
                #expect(status.mode == S_IFREG | 0o640)
                #expect(status.uid == owner.uid && status.gid == owner.gid)
                let file = try backend.open(buffer)
                #expect(try contents(of: file.raw) == Array(text.utf8))
                #expect(try Syscalls.status(of: file.raw).mode == S_IFREG | 0o600)
            }
            #expect((try? Syscalls.status(of: "\(data)/traits")) == nil)
        }
    }

    /// A device of the version before, where `buffers/NAME` was a directory.
    @Test(arguments: MemoryForm.available) func `a device of the version before is taken over`(
        form: MemoryForm
    ) throws {
        try withDevice(form) { device in
            let data = "\(device.path)/data"
            do { _ = try device.backend() }
            let traits = BufferTraits(heap: .coherent, owner: ProcessID(1), ownerStart: 2)
            let record = MemoryRecord(
                traits: traits, owner: Ownership(uid: 7, gid: 8, mode: 0o604))
            func link(_ path: String, _ text: String) throws {
                try Syscalls.makeLink(
                    "\(data)/\(path)", to: text, at: Syscalls.currentDirectory)
            }
            func old(_ name: String, text: String? = nil) throws -> UInt64 {
                try Syscalls.makeDirectory("\(data)/buffers/\(name)", mode: 0o700)
                let file = try Syscalls.open(
                    "\(data)/buffers/\(name)/data", flags: O_CREAT | O_RDWR, mode: 0o600)
                #expect(unsafe pwrite(file.raw, name, name.utf8.count, 0) == name.utf8.count)
                if let text { try link("buffers/\(name)/traits", text) }
                return try Syscalls.status(of: file.raw).inode
            }
            // As they were, without a record, and as servers left them that ended in between: with a
            // link, with the memory moved, and with all but the rest cleared.
            var numbers = [try old("one", text: record.text), try old("two")]
            numbers.append(try old("three", text: record.text))
            try link("buffers/.three", record.line(of: BufferID(numbers[2])))
            for name in ["four", "five"] {
                let number = try old(name, text: record.text)
                numbers.append(number)
                try Syscalls.makeDirectory("\(data)/files/\(number)", mode: 0o700)
                try Syscalls.rename(
                    "\(data)/buffers/\(name)/data", at: Syscalls.currentDirectory,
                    to: "\(data)/files/\(number)/data", at: Syscalls.currentDirectory, flags: [])
                try link("buffers/.\(name)", record.line(of: BufferID(number)))
            }
            try Syscalls.rename(
                "\(data)/buffers/five", at: Syscalls.currentDirectory,
                to: "\(data)/buffers/.five", at: Syscalls.currentDirectory, flags: .exchange)

            for _ in 0..<2 {
                let backend = try device.reopened()
                let found = try backend.buffers().sorted { $0.id < $1.id }
                #expect(found.map(\.id.number) == numbers)
                #expect(found.map(\.name.text) == ["one", "two", "three", "four", "five"])
                for buffer in found {
                    let status = try backend.status(of: buffer)
                    let isKnown = buffer.name.text != "two"
                    #expect(buffer.traits.heap == (isKnown ? .coherent : .system))
                    #expect(status.mode == S_IFREG | (isKnown ? 0o604 : 0o600))
                    #expect(status.uid == (isKnown ? 7 : geteuid()))
                    let file = try backend.open(buffer)
                    #expect(try contents(of: file.raw) == Array(buffer.name.text.utf8))
                }
                let names = try Syscalls.open(
                    "\(data)/buffers", flags: O_RDONLY | O_DIRECTORY)
                #expect(try Syscalls.names(in: names.raw).count == 5)
                // Their numbers are not given again.
                let made = try backend.make("new", size: 1)
                #expect(made.id.number > numbers.max() ?? 0)
                try backend.remove(made)
                backend.discard(made.id)
            }
        }
    }

    @Test(arguments: MemoryForm.available) func `numbers are not given again by the next server`(
        form: MemoryForm
    ) throws {
        try withDevice(form) { device in
            var last: UInt64 = 0
            for _ in 0..<3 {
                let backend = try device.reopened()
                let made = try backend.make("a", size: 1)
                #expect(made.id.number > last)
                last = made.id.number
                try backend.remove(made)
                backend.discard(made.id)
            }
        }
    }

    /// The file's own owner and mode are the server's: who has a descriptor has no more.
    @Test(arguments: MemoryForm.available) func `owner and mode are kept beside the file`(
        form: MemoryForm
    ) throws {
        try withTree(form) { (client) throws in
            try client.write("control/alloc", "a 1\n")
            let name = try #require(Name("a"))
            let number = try #require(client.tree.buffers[name]).id.number
            let data = "\(client.tree.backend.runtimeDirectory)/data/files/\(number)/data"
            try client.change("buffers/a") { $0.mode = 0o604 }
            #expect(try client.status("buffers/a").mode == S_IFREG | 0o604)
            let status = try Syscalls.status(of: data)
            #expect(status.mode == S_IFREG | 0o600 && status.uid == geteuid())
        }
    }

    @Test(arguments: MemoryForm.available) func `all of a removed buffer goes`(
        form: MemoryForm
    ) throws {
        try withTree(form) { (client) throws in
            let data = "\(client.tree.backend.runtimeDirectory)/data"
            func names(_ directory: String) throws -> [String] {
                let directory = try Syscalls.open(
                    "\(data)/\(directory)", flags: O_RDONLY | O_DIRECTORY)
                return try Syscalls.names(in: directory.raw)
            }
            try client.write("control/alloc", "a 1\nb 1\nc 1\n")
            try client.unlink("buffers/c")
            #expect(try names("buffers").sorted() == ["a", "b"])
            try client.rename("buffers/a", "buffers/b")
            #expect(try names("buffers") == ["b"])
            #expect(try names("files").count == 1, "a replaced buffer stays")
            #expect(try names("new").isEmpty)
        }
    }

    @Test func `the longest record is a short link, and what is none is not read`() throws {
        let longest = MemoryRecord(
            traits: BufferTraits(
                heap: .imported, direction: .fromDevice, lease: .process,
                owner: ProcessID(Int32.max), ownerStart: UInt64.max),
            owner: Ownership(uid: UInt32.max, gid: UInt32.max, mode: 0o777))
        var changed = longest
        changed.changed = Timestamp(seconds: -99_999_999_999, nanoseconds: 999_999_999)
        for record in [longest, changed] {
            let line = record.line(of: BufferID(1 << 48 - 1))
            #expect(line.utf8.count < 128)
            let (id, rest) = try #require(MemoryStore.parse(line))
            #expect(id.number == 1 << 48 - 1)
            #expect(MemoryRecord(line: rest) == record)
        }
        for line in ["", "1", "x 0 0 0 0 0 0 0 0", "0 0 0 0 0 0 0 0 0", "-1 0"] {
            #expect(MemoryStore.parse(line) == nil, "\(line)")
        }
        for rest in [
            "", "0 0 0 0 0 0 0", "9 0 0 0 0 0 0 0", "0 3 0 0 0 0 0 0", "0 0 2 0 0 0 0 0",
            "0 0 0 0 0 0 0 512", "0 0 0 0 -1 0 0 0", "0 0 0 0 0 0 0 0 1", "0 0 0 0 0 0 0 0 1 x",
            "0 0 0  0 0 0 0 0",
        ] {
            #expect(MemoryRecord(line: rest[...]) == nil, "\(rest)")
        }
    }

    @Test func `a record that is none is not read as such`() {
        let traits = BufferTraits(heap: .system, owner: ProcessID(7), ownerStart: 8)
        var good = MemoryRecord(traits: traits, owner: Ownership(uid: 1, gid: 2, mode: 0o640))
        #expect(MemoryRecord(text: good.text) == good)
        good.changed = Timestamp(seconds: -1, nanoseconds: 5)
        #expect(MemoryRecord(text: good.text) == good)
        for text in [
            "", traits.text, good.text + " x=1", good.text.replacingFirst("uid=1", "uid=-1"),
            good.text.replacingFirst("mode=416", "mode=4096"),
            good.text.replacingFirst("changed=-1.5", "changed=1"),
        ] {
            #expect(MemoryRecord(text: text) == nil, "\(text)")
        }
    }

    @Test func `traits that are no traits are not read as such`() {
        let good = BufferTraits(
            heap: .coherent, direction: .toDevice, lease: .process, owner: ProcessID(7),
            ownerStart: 8)
        #expect(BufferTraits(text: good.text) == good)
        for text in [
            "", "heap", "heap=system", good.text + " x=1", good.text + " heap=system",
            good.text.replacingFirst("coherent", "fast"), good.text.replacingFirst("=7", "=x"),
            good.text.replacingFirst("=8", "=-8"),
        ] {
            #expect(BufferTraits(text: text) == nil, "\(text)")
        }
    }

    @Test(arguments: ["no/name", "", ".", "..", "memory:", "memory:a b"])
    func `removing what is no device name is EINVAL`(name: String) {
        let error = #expect(throws: SetupError.self) { try MemoryDevices.remove(name) }
        #expect(error?.errno == .invalidArgument)
    }

    @Test func `removing a device that is not there is ENOENT`() {
        let error = #expect(throws: SetupError.self) {
            try MemoryDevices.remove("unit-\(getpid())-none")
        }
        #expect(error?.errno == .noSuchFileOrDirectory)
    }

    @Test func `a device is listed while it is there, with what it holds`() throws {
        try withDevice(alone: true) { device in
            let text = device.name.text
            let backend = try device.backend()
            _ = try backend.make("a", size: 10_000)
            let info = try #require(MemoryDevices.list().first { $0.name == text })
            #expect(info.alive && info.buffers == 1 && info.mountpoint == nil)
            #expect(info.size == device.size && info.used == 12_288)
            #expect(info.path == device.path)
            #expect(!MemoryDevices.list().contains { $0.name == "\(text)-not" })
            withExtendedLifetime(backend) {}
        }
    }
}

extension String {
    /// With the first occurrence of a text replaced.
    func replacingFirst(_ old: String, _ new: String) -> String {
        guard let start = indices.first(where: { self[$0...].hasPrefix(old) }) else { return self }
        return self[..<start] + new + self[index(start, offsetBy: old.count)...]
    }
}
