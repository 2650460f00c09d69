import Glibc
import Synchronization
import SystemPackage

/// Which addresses a buffer gets, what is mapped there, and what is noted of it.
extension BufferMappings {
    /// Gives a place to what has none, or more of it, and maps the file up to `size`.
    func extend(
        _ place: inout Place, _ entry: Entry, _ file: CInt, to size: UInt64
    ) throws(Refusal) {
        let end = place.end
        let start = place.range.lowerBound
        if place.range.isEmpty {
            return try settle(&place, entry, file, size)
        }
        let room = place.range.upperBound - start
        if size > room {
            let isRoom = [Self.room(size, entry.isFixed), size].contains { wanted in
                let more = place.range.upperBound..<start.addingClamped(wanted)
                guard more.upperBound < .max, space.withLock({ $0.take(more) }) else {
                    return false
                }
                place.range = start..<more.upperBound
                return true
            }
            guard isRoom else {
                if !place.isKnown { return try move(&place, entry, file, size) }
                throw Refusal(
                    .noSpace,
                    "its address was read, and it has room for \(room) bytes there: make it with "
                        + "its size at once")
            }
            try keep(place.range, entry.id)
        }
        try map(file, end..<size, in: &place)
    }

    /// A buffer that has no place gets one.
    private func settle(
        _ place: inout Place, _ entry: Entry, _ file: CInt, _ size: UInt64
    ) throws(Refusal) {
        place.range = try free(size, entry.isFixed)
        do throws(Refusal) {
            try map(file, 0..<size, in: &place)
            try keep(place.range, entry.id)
        } catch {
            if (try? unmapAll(&place)) != nil {
                let range = place.range
                space.withLock { $0.give(range) }
                place.range = 0..<0
            }
            throw error
        }
    }

    /// A buffer whose address nobody knows goes to where it has room.
    private func move(
        _ place: inout Place, _ entry: Entry, _ file: CInt, _ size: UInt64
    ) throws(Refusal) {
        var old = place
        place = Place(limit: old.limit)
        do throws(Refusal) {
            try settle(&place, entry, file, size)
        } catch {
            place = old
            try? keep(old.range, entry.id)
            throw error
        }
        if (try? unmapAll(&old)) != nil { space.withLock { $0.give(old.range) } }
    }

    /// What a buffer gets for it to grow: those of a fixed heap do not.
    private static func room(_ size: UInt64, _ isFixed: Bool) -> UInt64 {
        if isFixed || size > 1 << 40 { return size }
        // fits: a power of two that is 2^42 at the most
        return 2 << UInt64(64 - (size - 1).leadingZeroBitCount)
    }

    private func free(_ size: UInt64, _ isFixed: Bool) throws(Refusal) -> Range<UInt64> {
        let found = space.withLock { space in
            space.take(Self.room(size, isFixed)) ?? space.take(size)
        }
        guard let found else {
            let (last, largest) = space.withLock { ($0.last ?? 0, $0.largest) }
            throw Refusal(
                .noSpace,
                "\(size) bytes: no range of addresses up to \(Number.address(last)) is free that is "
                    + "so long; the largest has \(largest) bytes: see dma_bits=")
        }
        return found
    }

    func map(_ file: CInt, _ part: Range<UInt64>, in place: inout Place) throws(Refusal) {
        let address = place.range.lowerBound + part.lowerBound
        let length = part.upperBound - part.lowerBound
        do throws(Errno) {
            try iommu.map(file, part, at: address)
        } catch {
            throw Refusal(error, "\(length) bytes: \(why(error))")
        }
        place.pieces.append(length)
    }

    func unmap(_ address: UInt64, _ length: UInt64) throws(Refusal) {
        do throws(Errno) {
            try iommu.unmap(address, length)
        } catch {
            throw Refusal(error, "the IOMMU does not give \(Number.address(address)) back")
        }
    }

    /// From its end to its start, so that what is left where one fails is still a mapping of its start.
    func unmapAll(_ place: inout Place) throws(Refusal) {
        var end = place.end
        while let last = place.pieces.last {
            try unmap(place.range.lowerBound + end - last, last)
            place.pieces.removeLast()
            end -= last
        }
    }

    /// Which limit a mapping has met.
    private func why(_ error: Errno) -> String {
        switch error {
        case .noMemory:
            Syscalls.pinLimit().map {
                "the server may pin \($0) bytes, its RLIMIT_MEMLOCK: ulimit -l, or root's server"
            } ?? "the machine has no memory left to pin"
        case .noSpace:
            "the IOMMU takes no more mappings: the parameter dma_entry_limit of vfio_iommu_type1 is "
                + "their number"
        case .invalidArgument: "the IOMMU has no such address"
        default: "the IOMMU does not map it: \(error)"
        }
    }

    // MARK: Records

    /// Notes where a buffer is, for the next server.
    private func keep(_ range: Range<UInt64>, _ id: BufferID) throws(Refusal) {
        let length = range.upperBound - range.lowerBound
        let text = "\(String(range.lowerBound, radix: 16)) \(String(length, radix: 16))"
        do throws(Errno) {
            let own = try Syscalls.open("\(id.number)", at: files, flags: O_RDONLY | O_DIRECTORY)
            try Syscalls.setLink(MemoryStore.place, to: text, at: own.raw)
        } catch {
            throw Refusal(error, "its address can't be noted: \(error)")
        }
    }

    func kept(_ id: BufferID) -> Range<UInt64>? {
        let path = "\(id.number)/\(MemoryStore.place)"
        guard let text = try? Syscalls.link(path, at: files) else { return nil }
        return Self.parse(text)
    }

    static func parse(_ text: String) -> Range<UInt64>? {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 2, let start = UInt64(words[0], radix: 16),
            let length = UInt64(words[1], radix: 16), length > 0,
            start.isMultiple(of: UInt64.page), length.isMultiple(of: UInt64.page)
        else { return nil }
        let (end, isOver) = start.addingReportingOverflow(length)
        return isOver ? nil : start..<end
    }
}
