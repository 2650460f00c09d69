import Glibc
import Synchronization
import SystemPackage

/// Where the buffers of a device are in its address space.
///
/// Each is one range of addresses from its first byte on, and the range may have room for the buffer
/// to grow into. All of its file's pages are pinned and mapped, whole pages of it, so the memory is the
/// device's until it is unmapped, whatever becomes of the file.
///
/// Lock order: a buffer's own, which is held over calls that wait for no client, then the others, which
/// are held over no call.
final class BufferMappings: Sendable {
    private struct Place {
        /// Addresses; empty where it has none.
        var range: Range<UInt64> = 0..<0
        /// Bytes of each mapping, in order from the start on.
        var pieces: [UInt64] = []
        /// Somebody may have told the device where it is.
        var isKnown = false
        /// Bytes that it is about to be cut to.
        var limit = UInt64.max
        /// It is unmapped for good.
        var isGone = false

        var end: UInt64 { pieces.reduce(0, +) }
    }

    private final class Entry: Sendable {
        let id: BufferID
        let inode: UInt64
        let isFixed: Bool
        let place: Mutex<Place>

        init(_ id: BufferID, _ inode: UInt64, isFixed: Bool, _ place: Place = Place()) {
            self.id = id
            self.inode = inode
            self.isFixed = isFixed
            self.place = Mutex(place)
        }
    }

    private struct Table {
        var byID: [BufferID: Entry] = [:]
        var inodes: [UInt64: BufferID] = [:]
    }

    let iommu: any DMASpace
    private let space: Mutex<AddressSpace>
    private let table = Mutex(Table())
    /// The store's, for the record of each buffer's place.
    private let files: CInt
    /// Those that are to be unmapped.
    private let leaving = Mutex<(entries: [Entry], hasThread: Bool)>(([], false))

    /// - Parameters:
    ///   - bits: address bits that the device drives.
    ///   - files: the store's directory of files, which is open as long as this is.
    init(_ iommu: any DMASpace, bits: Int, files: CInt) throws(Errno) {
        self.iommu = iommu
        self.files = files
        // A kernel before 5.4 tells no ranges, and has none that are reserved for messages elsewhere.
        var ranges = try iommu.ranges()
        if ranges.isEmpty { ranges = [0...(1 << 32) - 1] }
        space = Mutex(AddressSpace(ranges, bits: bits))
    }

    /// The last address that a buffer can have.
    var last: UInt64 { space.withLock { $0.last ?? 0 } }

    // MARK: Buffers

    /// A new buffer, of which nothing is mapped yet.
    func add(_ id: BufferID, _ file: CInt, isFixed: Bool) throws(Errno) {
        enter(Entry(id, try Syscalls.status(of: file).inode, isFixed: isFixed))
    }

    private func enter(_ entry: Entry) {
        table.withLock { table in
            table.byID[entry.id] = entry
            table.inodes[entry.inode] = entry.id
        }
    }

    /// A buffer of a server before this one, at the addresses that it had.
    /// - Throws: EBUSY where another one has them, or the device can't have them any more.
    func adopt(_ id: BufferID, _ file: CInt, isFixed: Bool) throws(Refusal) {
        var place = Place(isKnown: true)
        if let kept = kept(id) {
            guard space.withLock({ $0.take(kept) }) else {
                throw Refusal(
                    .resourceBusy,
                    "it was at \(Number.address(kept.lowerBound)), where the device does not get to "
                        + "any more")
            }
            place.range = kept
        }
        do throws(Errno) {
            let status = try Syscalls.status(of: file)
            enter(Entry(id, status.inode, isFixed: isFixed, place))
        } catch {
            throw Refusal(error, "its size can't be read")
        }
        try follow(id, file)
    }

    private func entry(_ id: BufferID) -> Entry? { table.withLock { $0.byID[id] } }

    private func entry(of file: CInt) throws(Refusal) -> Entry {
        let status: FileStatus
        do throws(Errno) {
            status = try Syscalls.status(of: file)
        } catch {
            throw Refusal(error, "its size can't be read")
        }
        let found = table.withLock { table in
            table.inodes[status.inode].flatMap { table.byID[$0] }
        }
        guard let found else { throw Refusal(.staleNFSFileHandle, "the buffer is gone") }
        return found
    }

    private func changing<T>(
        _ entry: Entry, _ body: (inout Place) throws(Refusal) -> T
    ) throws(Refusal) -> T {
        let result: Result<T, Refusal> = entry.place.withLock { place in
            do throws(Refusal) {
                return .success(try body(&place))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Maps what the file has and the device does not reach yet.
    /// - Throws: ENOSPC without room behind the buffer, and without mappings; ENOMEM beyond what may
    ///   be pinned.
    func follow(_ id: BufferID, _ file: CInt) throws(Refusal) {
        guard let entry = entry(id) else {
            throw Refusal(.staleNFSFileHandle, "the buffer is gone")
        }
        try follow(entry, file)
    }

    func follow(_ file: CInt) throws(Refusal) { try follow(try entry(of: file), file) }

    private func follow(_ entry: Entry, _ file: CInt) throws(Refusal) {
        func isFull(_ refusal: Refusal) -> Bool {
            (refusal.errno == .noMemory || refusal.errno == .noSpace) && isLeaving
        }
        // What was removed a moment ago still counts.
        try Self.patience.retry(while: isFull) { () throws(Refusal) in
            try changing(entry) { (place) throws(Refusal) in
                if place.isGone { throw Refusal(.staleNFSFileHandle, "the buffer is gone") }
                let size = min(try Self.size(of: file), place.limit).wholePages
                if size > place.end { try extend(&place, entry, file, to: size) }
            }
        }
    }

    private static let patience = Patience(attempts: 400, microseconds: 2500)

    private static func size(of file: CInt) throws(Refusal) -> UInt64 {
        do throws(Errno) {
            return try Syscalls.status(of: file).size
        } catch {
            throw Refusal(error, "its size can't be read")
        }
    }

    /// Bytes that the device reaches of a buffer, whole pages.
    func mapped(_ file: CInt) -> UInt64 {
        (try? entry(of: file))?.place.withLock { $0.end } ?? 0
    }

    /// Where a buffer begins; it stays there from now on.
    /// - Throws: ENODATA for an empty buffer.
    func address(of id: BufferID, _ file: CInt) throws(Refusal) -> (start: UInt64, length: UInt64) {
        guard let entry = entry(id) else {
            throw Refusal(.staleNFSFileHandle, "the buffer is gone")
        }
        try follow(entry, file)
        return try changing(entry) { (place) throws(Refusal) in
            guard !place.pieces.isEmpty else { throw Refusal(.noData, "the buffer is empty") }
            place.isKnown = true
            return (place.range.lowerBound, place.end)
        }
    }

    /// Before the file is cut to `size` bytes: unmaps what lies behind its new last page. A mapping
    /// that is cut is made anew, for a moment of which the device has nothing of it.
    func cut(_ file: CInt, to size: UInt64) throws(Refusal) {
        let entry = try entry(of: file)
        try changing(entry) { (place) throws(Refusal) in
            place.limit = size
            let wanted = size.wholePages
            var end = place.end
            while let last = place.pieces.last, end > wanted {
                try unmap(place.range.lowerBound + end - last, last)
                place.pieces.removeLast()
                end -= last
            }
            if end < wanted { try map(file, end..<wanted, in: &place) }
        }
    }

    /// After the file was cut, or was not.
    func endCut(_ file: CInt) throws(Refusal) {
        let entry = try entry(of: file)
        try changing(entry) { (place) throws(Refusal) in place.limit = .max }
        try follow(entry, file)
    }

    /// A buffer whose file has other pages than before: the device gets them.
    func renew(_ file: CInt) throws(Refusal) {
        let entry = try entry(of: file)
        try changing(entry) { (place) throws(Refusal) in
            try unmapAll(&place)
        }
        try follow(entry, file)
    }

    /// The last user of a buffer is gone, or it has not come into being. Its memory goes when it is
    /// unmapped, by a thread of its own: a large one takes a while.
    func remove(_ id: BufferID) {
        let removed: Entry? = table.withLock { table in
            guard let entry = table.byID.removeValue(forKey: id) else { return nil }
            table.inodes[entry.inode] = nil
            return entry
        }
        guard let removed else { return }
        let isNew = leaving.withLock { leaving in
            leaving.entries.append(removed)
            defer { leaving.hasThread = true }
            return !leaving.hasThread
        }
        guard isNew else { return }
        do throws(Errno) {
            let worker = try Worker("devfs-unmap") { [self] in unmapLeaving() }
            worker.detach()
        } catch {
            unmapLeaving()
        }
    }

    private var isLeaving: Bool { leaving.withLock { $0.hasThread } }

    private func unmapLeaving() {
        while true {
            let next: Entry? = leaving.withLock { leaving in
                if leaving.entries.isEmpty { leaving.hasThread = false }
                return leaving.entries.popLast()
            }
            guard let next else { return }
            next.place.withLock { place in
                place.isGone = true
                // What could not be unmapped keeps its addresses: nobody else gets them.
                guard (try? unmapAll(&place)) != nil else { return }
                let range = place.range
                space.withLock { $0.give(range) }
                place.range = 0..<0
            }
        }
    }

    // MARK: Mappings

    /// Gives a place to what has none, or more of it, and maps the file up to `size`.
    private func extend(
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

    private func map(_ file: CInt, _ part: Range<UInt64>, in place: inout Place) throws(Refusal) {
        let address = place.range.lowerBound + part.lowerBound
        let length = part.upperBound - part.lowerBound
        do throws(Errno) {
            try iommu.map(file, part, at: address)
        } catch {
            throw Refusal(error, "\(length) bytes: \(why(error))")
        }
        place.pieces.append(length)
    }

    private func unmap(_ address: UInt64, _ length: UInt64) throws(Refusal) {
        do throws(Errno) {
            try iommu.unmap(address, length)
        } catch {
            throw Refusal(error, "the IOMMU does not give \(Number.address(address)) back")
        }
    }

    /// From its end to its start, so that what is left where one fails is still a mapping of its start.
    private func unmapAll(_ place: inout Place) throws(Refusal) {
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

    private func kept(_ id: BufferID) -> Range<UInt64>? {
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
