import SystemPackage

/// A region of a device that vfio drives, by accesses of the widths that are asked for.
///
/// 1, 2 and 4 bytes are a call of vfio's each, which waits while the device is being reset. vfio has no
/// call for 8 on each kernel: they are accesses of this process, where the region can be mapped.
final class VFIOPort: RegionPort {
    private let device: VFIODevice
    private let place: VFIODevice.Place
    private let size: UInt64

    init(_ device: VFIODevice, _ place: VFIODevice.Place, size: UInt64) {
        self.device = device
        self.place = place
        self.size = size
    }

    /// Bytes of the widest access.
    private var widest: UInt64 { place.canMap ? 8 : 4 }

    /// One access of 1, 2, 4 or 8 bytes, or a run of the widest.
    /// - Throws: EINVAL for what is neither.
    static func check(_ offset: UInt64, _ count: Int) throws(Errno) {
        let length = UInt64(count)
        let isOne = [1, 2, 4, 8].contains(length) && offset % length == 0
        guard isOne || (length % 4 == 0 && offset % 4 == 0) else { throw .invalidArgument }
    }

    /// What of a run is accesses of 8 bytes; the rest, before and behind it, is of 4.
    private func middle(_ range: Range<UInt64>) -> Range<UInt64>? {
        let start = (range.lowerBound + 7) & ~7
        let end = range.upperBound & ~7
        guard widest == 8, start < end, !isGuarded(start..<end) else { return nil }
        return start..<end
    }

    private func isGuarded(_ range: Range<UInt64>) -> Bool {
        place.guarded?.overlaps(range) ?? false
    }

    func read(at offset: UInt64, count: Int) throws(Errno) -> [UInt8] {
        guard offset < size, count > 0 else { return [] }
        let range = offset..<offset + min(UInt64(count), size - offset)
        try Self.check(offset, Int(range.upperBound - offset))
        guard let middle = middle(range) else { return try bytes(range) }
        let mapping = try device.mapping(of: place, size: size)
        var words = [UInt64](
            repeating: 0, count: Int((middle.upperBound - middle.lowerBound) / 8))
        let before = try bytes(range.lowerBound..<middle.lowerBound)
        try mapping.read(at: Int(middle.lowerBound), into: &words)
        let wide = unsafe words.withUnsafeBytes { unsafe [UInt8]($0) }
        return try before + wide + bytes(middle.upperBound..<range.upperBound)
    }

    private func bytes(_ range: Range<UInt64>) throws(Errno) -> [UInt8] {
        if range.isEmpty { return [] }
        let device = try device.descriptor()
        let count = Int(range.upperBound - range.lowerBound)
        return try Syscalls.bytes(
            of: device.raw, at: place.offset + range.lowerBound, count: count)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        guard UInt64(bytes.count) <= size, offset <= size - UInt64(bytes.count) else {
            throw .invalidArgument
        }
        try Self.check(offset, bytes.count)
        let range = offset..<offset + UInt64(bytes.count)
        if range.isEmpty { return 0 }
        if isGuarded(range) { throw .notPermitted }
        if let writable = place.writable,
            !writable.contains(where: {
                $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound
            })
        {
            throw .notPermitted
        }
        guard let middle = middle(range) else {
            return unsafe try put(bytes, 0..<bytes.count, at: offset)
        }
        let (from, to) = (Int(middle.lowerBound - offset), Int(middle.upperBound - offset))
        let mapping = try device.mapping(of: place, size: size)
        let words = stride(from: from, to: to, by: 8).map {
            unsafe bytes.loadUnaligned(fromByteOffset: $0, as: UInt64.self)
        }
        var done = unsafe try put(bytes, 0..<from, at: offset)
        try mapping.write(words, at: Int(middle.lowerBound))
        done += to - from
        return unsafe try done + put(bytes, to..<bytes.count, at: offset)
    }

    private func put(
        _ bytes: UnsafeRawBufferPointer, _ part: Range<Int>, at offset: UInt64
    ) throws(Errno) -> Int {
        if part.isEmpty { return 0 }
        let device = try device.descriptor()
        return unsafe try Syscalls.write(
            UnsafeRawBufferPointer(rebasing: bytes[part]), to: device.raw,
            at: place.offset + offset + UInt64(part.lowerBound))
    }
}
