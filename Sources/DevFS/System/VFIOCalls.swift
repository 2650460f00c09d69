import CFuse
import Glibc
import SystemPackage

/// The kinds of interrupts that vfio-pci has, numbered as in <linux/vfio.h>.
enum VFIOInterrupt: UInt32, Sendable {
    case line = 0
    case message = 1
    case messageX = 2
    case error = 3
    case request = 4

    /// As `features` and `status` name it.
    var name: String {
        switch self {
        case .line: "INTx"
        case .message: "MSI"
        case .messageX: "MSI-X"
        case .error: "error"
        case .request: "request"
        }
    }
}

/// What an IOMMU lets a device reach: parts of files at addresses that are given to it.
protocol DMASpace: AnyObject, Sendable {
    /// The addresses that it can have.
    func ranges() throws(Errno) -> [ClosedRange<UInt64>]
    /// Pins a part of a file, whole pages, and maps it, all or nothing. It waits for no client.
    /// - Throws: ENOMEM beyond what the process can pin, ENOSPC beyond the mappings that there can be.
    func map(_ file: CInt, _ part: Range<UInt64>, at address: UInt64) throws(Errno)
    /// The opposite of one `map`.
    func unmap(_ address: UInt64, _ length: UInt64) throws(Errno)
    /// `type 1`, `iommufd`.
    var kind: String { get }
    /// Mappings that are left; nil where that is not told.
    var entries: UInt32? { get }
}

/// The IOMMU of a container, with one group in it. <linux/vfio.h>, VFIO_TYPE1v2_IOMMU
final class TypeOneSpace: DMASpace {
    private let container: Descriptor
    /// Which keeps the group's devices together.
    private let group: Descriptor

    /// - Throws: EPERM where the IOMMU does not remap interrupts; EBUSY, EINVAL.
    init(container: consuming Descriptor, group: consuming Descriptor) throws(Errno) {
        try check { cfuse_vfio_attach(group.raw, container.raw) }
        self.container = container
        self.group = group
    }

    /// VFIO_GROUP_GET_DEVICE_FD
    func device(_ name: String) throws(Errno) -> Descriptor {
        Descriptor(owning: try check { unsafe cfuse_vfio_device(group.raw, name) })
    }

    static func isUsable(_ container: CInt) -> Bool { cfuse_vfio_is_usable(container) }

    /// Each device of the group is vfio's, or nobody's.
    static func isViable(_ group: CInt) throws(Errno) -> Bool {
        try check { cfuse_vfio_is_viable(group) } == 1
    }

    private func ask() throws(Errno) -> (ranges: [ClosedRange<UInt64>], entries: UInt32) {
        var ranges = [cfuse_range](repeating: cfuse_range(), count: 64)
        var count = UInt32(ranges.count)
        var entries: UInt32 = 0
        try check { unsafe cfuse_vfio_ranges(container.raw, &ranges, &count, &entries) }
        return (ranges.prefix(Int(count)).compactMap(\.closed), entries)
    }

    func ranges() throws(Errno) -> [ClosedRange<UInt64>] { try ask().ranges }

    func map(_ file: CInt, _ part: Range<UInt64>, at address: UInt64) throws(Errno) {
        let length = part.upperBound - part.lowerBound
        try check { cfuse_vfio_map(container.raw, file, part.lowerBound, length, address) }
    }

    func unmap(_ address: UInt64, _ length: UInt64) throws(Errno) {
        try check { cfuse_vfio_unmap(container.raw, address, length) }
    }

    let kind = "type 1"
    var entries: UInt32? { (try? ask())?.entries }
}

/// An address space of iommufd's, made for one device. <linux/iommufd.h>
final class IOMMUFDSpace: DMASpace {
    private let iommufd: Descriptor
    private let number: UInt32

    init(_ iommufd: consuming Descriptor, for device: CInt) throws(Errno) {
        var number: UInt32 = 0
        try check { unsafe cfuse_iommufd_attach(device, iommufd.raw, &number) }
        self.iommufd = iommufd
        self.number = number
    }

    func ranges() throws(Errno) -> [ClosedRange<UInt64>] {
        var ranges = [cfuse_range](repeating: cfuse_range(), count: 64)
        var count = UInt32(ranges.count)
        try check { unsafe cfuse_iommufd_ranges(iommufd.raw, number, &ranges, &count) }
        return ranges.prefix(Int(count)).compactMap(\.closed)
    }

    func map(_ file: CInt, _ part: Range<UInt64>, at address: UInt64) throws(Errno) {
        let length = part.upperBound - part.lowerBound
        try check {
            cfuse_iommufd_map(iommufd.raw, number, file, part.lowerBound, length, address)
        }
    }

    func unmap(_ address: UInt64, _ length: UInt64) throws(Errno) {
        try check { cfuse_iommufd_unmap(iommufd.raw, number, address, length) }
    }

    let kind = "iommufd"
    var entries: UInt32? { nil }
}

extension cfuse_range {
    fileprivate var closed: ClosedRange<UInt64>? { first <= last ? first...last : nil }
}

/// Calls on the descriptor of a device of vfio-pci, by the names of <linux/vfio.h>.
enum VFIOCalls {
    /// VFIO_DEVICE_GET_INFO, VFIO_DEVICE_FLAGS_RESET
    static func canReset(_ device: CInt) throws(Errno) -> Bool {
        try check { cfuse_vfio_can_reset(device) } == 1
    }

    /// VFIO_DEVICE_RESET
    static func reset(_ device: CInt) throws(Errno) { try check { cfuse_vfio_reset(device) } }

    /// VFIO_DEVICE_GET_REGION_INFO; a region that is not there has the size 0.
    static func region(_ device: CInt, _ index: UInt32) throws(Errno) -> cfuse_vfio_region {
        var region = cfuse_vfio_region()
        try check { unsafe cfuse_vfio_region(device, index, &region) }
        return region
    }

    /// VFIO_DEVICE_GET_IRQ_INFO: how many there are that an eventfd can count; 0 for an unknown kind.
    static func count(_ device: CInt, of kind: VFIOInterrupt) -> Int {
        var count: UInt32 = 0
        guard unsafe cfuse_vfio_interrupts(device, kind.rawValue, &count) == 0 else { return 0 }
        return Int(count)
    }

    /// VFIO_DEVICE_SET_IRQS: each from `first` on adds to its eventfd.
    static func set(
        _ device: CInt, _ kind: VFIOInterrupt, from first: Int, _ eventfds: [CInt]
    ) throws(Errno) {
        try check {
            unsafe cfuse_vfio_set_eventfds(
                device, kind.rawValue, UInt32(first), eventfds, UInt32(eventfds.count))
        }
    }

    /// VFIO_DEVICE_SET_IRQS of a line.
    static func mask(_ device: CInt, _ isMasked: Bool) throws(Errno) {
        try check { cfuse_vfio_mask(device, VFIOInterrupt.line.rawValue, 0, isMasked) }
    }
}

/// Registers that this process reaches by a mapping, 64 bits at a time.
///
/// *Safety*: the address and the length never change. An access of a device that is away is EIO, by
/// the handler of SIGBUS in CFuse/vfio.c.
@safe final class RegisterMapping: @unchecked Sendable {
    private let base: UnsafeMutableRawPointer
    private let size: Int

    /// `mmap(2)` of a region of the device's descriptor.
    init(_ device: CInt, offset: UInt64, size: UInt64) throws(Errno) {
        guard let length = Int(exactly: size),
            let base = unsafe cfuse_vfio_map_region(device, offset, length)
        else { throw lastError }
        unsafe self.base = base
        self.size = length
    }

    deinit {
        unsafe munmap(base, size)
    }

    /// - Parameter offset: a multiple of 8, with `words.count * 8` bytes in the region behind it.
    func read(at offset: Int, into words: inout [UInt64]) throws(Errno) {
        try access(&words, at: offset, writes: false)
    }

    func write(_ words: [UInt64], at offset: Int) throws(Errno) {
        var words = words
        try access(&words, at: offset, writes: true)
    }

    private func access(
        _ words: inout [UInt64], at offset: Int, writes: Bool
    ) throws(Errno) {
        precondition(offset % 8 == 0 && offset <= size && words.count * 8 <= size - offset)
        let count = words.count
        try check { unsafe cfuse_access_registers(base + offset, &words, count, writes) }
    }
}

/// Several eventfds as one descriptor, readable while one of them is. `epoll_create1(2)`
final class EventSet: Sendable {
    private let descriptor: Descriptor

    init() throws(Errno) {
        descriptor = Descriptor(owning: try check { epoll_create1(CInt(EPOLL_CLOEXEC)) })
    }

    var raw: CInt { descriptor.raw }

    func add(_ counter: EventCounter, number: UInt64) throws(Errno) {
        try check { cfuse_epoll_add(raw, counter.raw, number) }
    }
}
