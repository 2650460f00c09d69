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

    /// "addresses, regions, interrupts are absent or ENODATA, never faked"
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
            do {
                let backend = try device.backend()
                _ = try backend.make("a", size: 1)
            }
            let traits = try Syscalls.open(
                "\(device.path)/data/traits", flags: O_RDONLY | O_DIRECTORY)
            try Syscalls.setLink("99999999", to: "heap=system", at: traits.raw)
            let backend = try device.backend()
            let found = try backend.buffers()
            #expect(try Syscalls.names(in: traits.raw) == found.map { "\($0.id.number)" })
        }
    }

    @Test(arguments: MemoryForm.available) func `traits of a buffer go with it`(
        form: MemoryForm
    ) throws {
        try withTree(form) { (client) throws in
            let traits = try Syscalls.open(
                "\(client.tree.backend.runtimeDirectory)/data/traits",
                flags: O_RDONLY | O_DIRECTORY)
            try client.write("control/alloc", "a 1\nb 1\nc 1\n")
            try client.unlink("buffers/c")
            #expect(try Syscalls.names(in: traits.raw).count == 2)
            try client.rename("buffers/a", "buffers/b")
            #expect(
                try Syscalls.names(in: traits.raw).count == 1, "a replaced buffer's traits stay")
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
