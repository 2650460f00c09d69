import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// A device of vfio-pci that nothing else uses: `DEVFS_TEST_VFIO=0000:00:04.0`, as Tests/VM/vfio does
/// in its guest. Everything on it is removed.
private struct RealVFIODevice: ConformanceDevice {
    static let text = unsafe getenv("DEVFS_TEST_VFIO").map { unsafe String(cString: $0) }
    static let whyNone: Comment = "wants a device of vfio-pci: DEVFS_TEST_VFIO=0000:00:04.0"

    let address: PCIAddress
    let kind = BackendKind.vfio
    let size: UInt64 = 4 << 20

    func open() throws -> any Backend {
        try VFIOBackend(address, size: size, huge: nil, bits: 28)
    }

    static func with(_ body: (RealVFIODevice) throws -> Void) throws {
        let device = RealVFIODevice(address: try #require(text.flatMap { PCIAddress($0) }))
        defer {
            #expect(
                holds { (try? MemoryDevices.remove("vfio:\(device.address)")) != nil },
                "something holds it")
        }
        try body(device)
    }
}

@Suite(
    "The backend over vfio-pci", .serialized,
    .enabled(if: RealVFIODevice.text != nil, RealVFIODevice.whyNone), .timeLimit(.minutes(5)))
struct VFIODeviceTests {
    @Test(arguments: Conformance.rules(for: .vfio)) func `holds what every backend holds`(
        rule: Conformance.Rule
    ) throws {
        try RealVFIODevice.with { device in try rule.check(device) }
    }
}

@Suite("The backend over vfio, with an IOMMU of its own", .timeLimit(.minutes(1)))
struct VFIOBackendTests {
    private func with(
        size: UInt64 = 4 << 20, usable: [ClosedRange<UInt64>]? = nil,
        _ body: (VFIOTestDevice) throws -> Void
    ) throws {
        try body(try VFIOTestDevice(size: size, usable: usable))
    }

    @Test(arguments: Conformance.rules(for: .vfio)) func `holds what every backend holds`(
        rule: Conformance.Rule
    ) throws {
        try with { device in try rule.check(device) }
    }

    @Test func `every buffer is one range that the device reaches, whatever its heap`() throws {
        try with { device in
            let backend = try device.backend()
            for (index, heap) in backend.heaps.enumerated() {
                let made = try backend.make("b\(index)", size: 300_000, heap: heap)
                let address = try backend.dmaAddress(of: made)
                #expect(address >= AddressSpace.lowest)
                #expect(device.iommu.length(at: address) == 303_104)
                #expect(try backend.scatterGather(of: made).map(\.0) == [address])
                #expect(try backend.segments(of: made) == 1 && backend.isCoherent(made))
                #expect(throws: Errno.noData) { try backend.physicalAddress(of: made) }
            }
        }
    }

    @Test func `an empty buffer has no address, and gets one with its first byte`() throws {
        try with { device in
            let backend = try device.backend()
            let made = try backend.make("empty", size: 0)
            #expect(throws: Errno.noData) { try backend.dmaAddress(of: made) }
            #expect(try backend.segments(of: made) == 0 && device.iommu.mapped.isEmpty)
            let file = try backend.open(made)
            #expect(try backend.put([1, 2, 3], to: file.raw) == 3)
            #expect(device.iommu.length(at: try backend.dmaAddress(of: made)) == 4096)
        }
    }

    @Test func `what grows keeps its address where that was read, and is mapped behind it`() throws
    {
        try with { device in
            let backend = try device.backend()
            let made = try backend.make("grows", size: 12_288)
            let other = try backend.make("other", size: 4096)
            let address = try backend.dmaAddress(of: made)
            let file = try backend.open(made)
            // The room that it has.
            #expect(
                try backend.put([UInt8](repeating: 7, count: 8192), to: file.raw, at: 12_288)
                    == 8192)
            #expect(try backend.dmaAddress(of: made) == address)
            #expect(device.iommu.length(at: address) == 20_480)
            // No more of it.
            let refusal = #expect(throws: Refusal.self) {
                try backend.resize(file.raw, to: 1 << 20)
            }
            #expect(refusal?.errno == .noSpace)
            #expect(refusal?.why.contains("its address was read") == true)
            #expect(try Syscalls.status(of: file.raw).size == 20_480)
            #expect(device.iommu.length(at: address) == 20_480)
            // Of one that was not read there is.
            let free = try backend.open(other)
            try backend.resize(free.raw, to: 1 << 20)
            #expect(device.iommu.length(at: try backend.dmaAddress(of: other)) == 1 << 20)
        }
    }

    @Test func `what is cut is unmapped, and its start stays where it was`() throws {
        try with { device in
            let backend = try device.backend()
            let made = try backend.make("cut", size: 64 << 10)
            let address = try backend.dmaAddress(of: made)
            let file = try backend.open(made)
            try backend.resize(file.raw, to: 10_000)
            #expect(device.iommu.mapped.map(\.part) == [0..<12_288])
            #expect(try backend.dmaAddress(of: made) == address)
            try backend.resize(file.raw, to: 0)
            #expect(device.iommu.mapped.isEmpty)
            try backend.resize(file.raw, to: 64 << 10)
            #expect(try backend.dmaAddress(of: made) == address)
        }
    }

    @Test func `the next server has each buffer at the address that it had`() throws {
        try with { device in
            var before: [Name: UInt64] = [:]
            do {
                let backend = try device.backend()
                for index in 0..<20 {
                    let made = try backend.make("b\(index)", size: UInt64(index) * 5000)
                    if index % 3 == 0 {
                        try backend.remove(made)
                        backend.discard(made.id)
                        backend.freed(made.id)
                    } else {
                        before[made.name] = try backend.dmaAddress(of: made)
                    }
                }
            }
            let backend = try device.backend()
            let after = try backend.buffers().map { ($0.name, try backend.dmaAddress(of: $0)) }
            #expect(Dictionary(uniqueKeysWithValues: after) == before)
            #expect(
                before.values.allSatisfy { device.iommu.length(at: $0) > 0 })
            // A new one gets none of theirs, which the IOMMU would refuse.
            _ = try backend.make("new", size: 1 << 20)
        }
    }

    @Test func `a device that does not get to a buffer any more is not mounted`() throws {
        try with { device in
            do {
                let backend = try device.backend()
                _ = try backend.make("low", size: 1 << 20)
                _ = try backend.make("large", size: 3 << 20, heap: .contiguous)
            }
            #expect(throws: SetupError.self) { try device.backend(bits: 22) }
            _ = try device.backend()
        }
    }

    @Test func `a mapping that fails leaves nothing of it, and the error names the limit`() throws {
        try with { device in
            let backend = try device.backend()
            let made = try backend.make("first", size: 8192)
            let before = device.iommu.mapped
            let free = try backend.free()
            device.iommu.limit(entries: 1)
            let entries = backend.refusal("a", size: 4096)
            #expect(entries?.errno == .noSpace && entries?.why.contains("dma_entry_limit") == true)
            device.iommu.limit(bytes: 16_384)
            #expect(backend.refusal("b", size: 64 << 10)?.errno == .noMemory)
            device.iommu.limit(luck: 0)
            #expect(backend.refusal("c", size: 4096)?.errno == .ioError)
            let file = try backend.open(made)
            #expect(throws: Errno.ioError) {
                try backend.put([UInt8](repeating: 1, count: 8192), to: file.raw, at: 4096)
            }
            #expect(try Syscalls.status(of: file.raw).size == 8192)
            #expect(throws: Refusal.self) { try backend.resize(file.raw, to: 1 << 20) }
            device.iommu.limit()
            #expect(device.iommu.mapped == before)
            #expect(try backend.buffers().map(\.name.text) == ["first"])
            #expect(try holds { try backend.free() == free })
            // The addresses are free again.
            _ = try backend.make("a", size: 4096)
        }
    }

    @Test func `a removed buffer is the device's until nobody uses it`() throws {
        try with { device in
            let backend = try device.backend()
            let made = try backend.make("gone", size: 4096)
            let address = try backend.dmaAddress(of: made)
            try backend.remove(made)
            #expect(device.iommu.length(at: address) == 4096)
            backend.discard(made.id)
            backend.freed(made.id)
            #expect(holds { device.iommu.mapped.isEmpty })
            let next = try backend.make("next", size: 4096)
            #expect(try holds { try backend.dmaAddress(of: next) == address })
        }
    }

    @Test func `pages that a client punched out are the device's again when they are filled`()
        throws
    {
        try with { device in
            let backend = try device.backend()
            let made = try backend.make("holes", size: 16_384, heap: .contiguous)
            let file = try backend.open(made)
            let first = device.iommu.mapped
            try #require(
                Spawn.run([
                    "fallocate", "-p", "-o", "4096", "-l", "8192",
                    "/proc/\(getpid())/fd/\(file.raw)",
                ]) == 0)
            try #require(try Syscalls.extent(of: file.raw).isSparse)
            try backend.populate(file.raw, 0..<16_384)
            #expect(device.iommu.mapped.map(\.address) == first.map(\.address))
            #expect(try !Syscalls.extent(of: file.raw).isSparse)
        }
    }

    @Test func `10,000 buffers are at 10,000 addresses`() throws {
        try with(size: 64 << 20) { device in
            let backend = try device.backend(bits: 28)
            var starts: Set<UInt64> = []
            for index in 0..<10_000 {
                let made = try backend.make("b\(index)", size: 4096)
                starts.insert(try backend.dmaAddress(of: made))
            }
            #expect(starts.count == 10_000 && starts.allSatisfy { $0 < 1 << 28 })
        }
    }

    @Test func `what the record of an address says is checked before it is believed`() {
        #expect(BufferMappings.parse("100000 2000") == 0x10_0000..<0x10_2000)
        for text in [
            "", "100000", "100001 2000", "100000 0", "100000 2001", "-1 2000", "zz 1000",
            "fffffffffffff000 2000", "100000 2000 3",
        ] {
            #expect(BufferMappings.parse(text) == nil, "\(text)")
        }
    }
}
