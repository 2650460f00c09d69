import Synchronization
import SystemPackage

/// The registrations for passthrough of a kept mount: they live as long as the connection.
final class LedgerBacking: Sendable {
    private enum Word {
        /// 0 is a free record: stored last.
        static let id = 0
        static let inode = 1
        static let isClosing = 2
    }

    private struct State {
        var places: [Inode: Int] = [:]
        var free: [Int] = []
        var next = 0
    }

    private let ledger: Ledger
    private let table: LedgerTable
    private let state = Mutex(State())

    init(_ ledger: Ledger) {
        self.ledger = ledger
        table = ledger.backing
    }

    /// Those of the servers before: the ones that are used, and the ones to be closed. One that the
    /// last of them made and did not come to note has the number after the newest: the kernel gives
    /// them in turn (`fuse_backing_id_alloc` in fs/fuse/passthrough.c).
    func adopt() -> (used: [Inode: Int32], closing: [Int32]) {
        var used: [Inode: Int32] = [:]
        var closing = [Int32(clamping: ledger.lastBacking + 1)]
        state.withLock { state in
            for index in 0..<Int(clamping: min(ledger.backingCount, UInt64(table.count))) {
                let record = table[index]
                let id = Int32(clamping: record[Word.id])
                let inode = Inode(record[Word.inode])
                if id == 0 || record[Word.isClosing] == 1 || used[inode] != nil {
                    if id != 0 { closing.append(id) }
                    record[Word.id] = 0
                    state.free.append(index)
                    continue
                }
                used[inode] = id
                state.places[inode] = index
            }
            state.next = Int(clamping: ledger.backingCount)
        }
        return (used, closing)
    }

    /// One that was made and not noted is closed: the next number is the one after it.
    func closedNewest() { ledger.lastBacking += 1 }

    func add(_ id: Int32, of inode: Inode) {
        state.withLock { state in
            var place = state.free.popLast()
            if place == nil && state.next < table.count {
                place = state.next
                state.next += 1
                ledger.backingCount = UInt64(state.next)
            }
            if let place {
                state.places[inode] = place
                table[place][Word.isClosing] = 0
                table[place][Word.inode] = inode.number
                table[place][Word.id] = UInt64(UInt32(bitPattern: id))
            }
            ledger.lastBacking = UInt64(UInt32(bitPattern: id))
        }
    }

    /// Before it is closed.
    func close(_ inode: Inode) {
        if let place = state.withLock({ $0.places[inode] }) { table[place][Word.isClosing] = 1 }
    }

    /// After that.
    func forget(_ inode: Inode) {
        state.withLock { state in
            guard let place = state.places.removeValue(forKey: inode) else { return }
            table[place][Word.id] = 0
            state.free.append(place)
        }
    }
}
