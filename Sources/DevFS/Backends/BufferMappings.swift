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
    struct Place {
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

    final class Entry: Sendable {
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
    let space: Mutex<AddressSpace>
    private let table = Mutex(Table())
    /// The store's, for the record of each buffer's place.
    let files: CInt
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
}
