import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import DevFS

/// What a device reaches by an IOMMU, in this process: it takes what a real one takes, and refuses what
/// a real one refuses.
final class FakeIOMMU: DMASpace {
    struct Entry: Equatable {
        var address: UInt64
        var part: Range<UInt64>
        var inode: UInt64
    }

    private struct State {
        /// By address.
        var entries: [Entry] = []
        var pinned: UInt64 = 0
        var most = Int.max
        /// Bytes that can be pinned.
        var room = UInt64.max
        /// Mappings that succeed before one fails.
        var luck = Int.max

        /// The first entry at `address` or behind it.
        func index(of address: UInt64) -> Int {
            var (low, high) = (0, entries.count)
            while low < high {
                let middle = (low + high) / 2
                if entries[middle].address < address { low = middle + 1 } else { high = middle }
            }
            return low
        }
    }

    private let state = Mutex(State())
    private let usable: [ClosedRange<UInt64>]

    init(_ usable: [ClosedRange<UInt64>] = [0...0xfedf_ffff, 0xfef0_0000...(1 << 39) - 1]) {
        self.usable = usable
    }

    func ranges() -> [ClosedRange<UInt64>] { usable }
    let kind = "fake"
    var entries: UInt32? { state.withLock { UInt32(clamping: $0.most - $0.entries.count) } }

    /// By address.
    var mapped: [Entry] { state.withLock { $0.entries } }

    func limit(entries: Int = .max, bytes: UInt64 = .max, luck: Int = .max) {
        state.withLock {
            $0.most = entries
            $0.room = bytes
            $0.luck = luck
        }
    }

    func map(_ file: CInt, _ part: Range<UInt64>, at address: UInt64) throws(Errno) {
        let status = try Syscalls.status(of: file)
        let inode = status.inode
        // What the kernel faults in for it.
        if status.allocated < status.size {
            try Syscalls.allocate(file, part.clamped(to: 0..<status.size))
        }
        let length = part.upperBound - part.lowerBound
        try state.withLock { (state) throws(Errno) in
            guard part.lowerBound % 4096 == 0, length % 4096 == 0, length > 0, address % 4096 == 0,
                usable.contains(where: {
                    $0.lowerBound <= address && address + length - 1 <= $0.upperBound
                })
            else { throw .invalidArgument }
            let end = address + length
            let index = state.index(of: end)
            if index > 0 {
                let before = state.entries[index - 1]
                let beyond = before.address + UInt64(before.part.count)
                if beyond > address { throw .fileExists }
            }
            guard state.entries.count < state.most else { throw .noSpace }
            guard state.pinned + length <= state.room else { throw .noMemory }
            guard state.luck > 0 else { throw .ioError }
            state.luck -= state.luck == .max ? 0 : 1
            state.pinned += length
            state.entries.insert(
                Entry(address: address, part: part, inode: inode), at: state.index(of: address))
        }
    }

    func unmap(_ address: UInt64, _ length: UInt64) throws(Errno) {
        try state.withLock { (state) throws(Errno) in
            let index = state.index(of: address)
            guard index < state.entries.count, state.entries[index].address == address,
                UInt64(state.entries[index].part.count) == length
            else { throw .noSuchFileOrDirectory }
            state.pinned -= length
            state.entries.remove(at: index)
        }
    }

    /// What the device sees of a buffer from `address` on: its file's pages in order, without a gap.
    func length(at address: UInt64) -> UInt64 {
        var end = address
        var offset: UInt64 = 0
        var inode: UInt64?
        for entry in mapped where entry.address == end && entry.part.lowerBound == offset {
            guard inode == nil || inode == entry.inode else { break }
            inode = entry.inode
            end += UInt64(entry.part.count)
            offset = entry.part.upperBound
        }
        return end - address
    }
}

/// A device of vfio's for one test. Opening it again is a restart of the server, with an address space
/// of its own as the kernel gives one.
final class VFIOTestDevice: ConformanceDevice {
    private static let numbers = Atomic(0)

    let address: PCIAddress
    let kind = BackendKind.vfio
    let size: UInt64
    let usable: [ClosedRange<UInt64>]?
    private let newest = Mutex<FakeIOMMU?>(nil)

    init(size: UInt64, usable: [ClosedRange<UInt64>]? = nil) throws {
        let number = Self.numbers.add(1, ordering: .relaxed).newValue
        func byte(_ value: Int) -> Substring { String(value & 0xff | 0x100, radix: 16).dropFirst() }
        // A domain that no machine has, of this process.
        let domain = String(0x100_0000 + UInt32(getpid()), radix: 16)
        address = try #require(
            PCIAddress("\(domain):\(byte(number >> 5)):\(byte(number & 31)).0"))
        self.size = size
        self.usable = usable
    }

    deinit {
        // Its last users may be on their way out.
        _ = holds { (try? MemoryDevices.remove("vfio:\(address)")) != nil || !isThere }
        if isThere { Issue.record("vfio:\(address) can't be removed, something holds it") }
    }

    private var isThere: Bool { (try? Syscalls.status(of: MemoryDevice(of: address).path)) != nil }

    var iommu: FakeIOMMU { newest.withLock { $0 } ?? FakeIOMMU() }

    func open() throws -> any Backend { try backend() }

    func backend(bits: Int? = nil) throws -> VFIOBackend {
        let iommu = usable.map { FakeIOMMU($0) } ?? FakeIOMMU()
        newest.withLock { $0 = iommu }
        let place = MemoryDevice(of: address)
        try place.makeDirectories()
        return try VFIOBackend(
            place, try place.lock(), size: size, huge: nil, bits: bits, iommu)
    }
}
