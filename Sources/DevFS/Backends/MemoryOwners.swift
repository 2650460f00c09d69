/// Owner and mode of each buffer, for every stat(2). Few differ from one another, so a buffer takes
/// a number, not a copy.
struct MemoryOwners {
    private var kinds: [Ownership] = []
    private var numbers: [Ownership: UInt32] = [:]
    private var owners: [BufferID: UInt32] = [:]
    /// When it was changed, of those where it was.
    private var changed: [BufferID: Timestamp] = [:]

    /// Those that have no name any more.
    private var unnamed: Set<BufferID> = []

    mutating func unname(_ id: BufferID) { unnamed.insert(id) }
    func isUnnamed(_ id: BufferID) -> Bool { !unnamed.isEmpty && unnamed.contains(id) }

    mutating func set(_ record: MemoryRecord, of id: BufferID) {
        let number = numbers[record.owner] ?? UInt32(kinds.count)
        if number == kinds.count {
            kinds.append(record.owner)
            numbers[record.owner] = number
        }
        owners[id] = number
        changed[id] = record.changed
    }

    mutating func forget(_ id: BufferID) {
        owners[id] = nil
        changed[id] = nil
        unnamed.remove(id)
    }

    /// A status of the buffer's file as that of the buffer; nil where the buffer is unknown.
    func present(_ status: FileStatus, _ id: BufferID) -> FileStatus? {
        owners[id].map { kinds[Int($0)].present(status, changed: changed[id]) }
    }

    /// Who has it now.
    subscript(id: BufferID) -> Ownership? { owners[id].map { kinds[Int($0)] } }
}

extension Ownership {
    /// A file's status as that of a buffer of this owner.
    func present(_ status: FileStatus, changed: Timestamp?) -> FileStatus {
        var status = status
        // Type and nothing else of the file's.
        status.mode = status.mode & ~0o7777 | mode
        (status.uid, status.gid) = (uid, gid)
        if let changed,
            (status.changed.seconds, status.changed.nanoseconds)
                < (changed.seconds, changed.nanoseconds)
        {
            status.changed = changed
        }
        return status
    }
}
