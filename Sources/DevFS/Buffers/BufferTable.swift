import Glibc
import Synchronization
import SystemPackage

/// All buffers of a device, by number and by name.
///
/// `names` is held while a name is given away, changed or taken, over the backend's calls, so that
/// table and backend never differ; an allocation only reserves its name and zeroes its memory
/// without a lock. What others do on the device is looked up when somebody asks for a name.
/// Lock order: `names`, `state`, a buffer's own.
final class BufferTable: Sendable {
    private struct State {
        var byID: [BufferID: Buffer] = [:]
        var byName: [Name: Buffer] = [:]
        var reserved: Set<Name> = []
        var changed = Timestamp.now()
        /// The most that there were since there were none.
        var most = 0

        /// Where very many are gone: gives back what they took. True where that is worth asking the
        /// allocator for it.
        mutating func settle() -> Bool {
            guard byID.isEmpty, byName.isEmpty, most >= 4096 else { return false }
            (byID, byName, most) = ([:], [:], 0)
            return true
        }
    }

    let backend: any Backend
    private let names = Mutex(())
    private let state = Mutex(State())
    /// What the backend's `foreignChanges` was when the table was last like the device.
    private let seen: Atomic<UInt64>
    /// Called when a buffer has no name any more.
    private let unlinked = Callback<BufferID>()
    /// Called when a buffer has neither name nor user any more.
    let gone = Callback<BufferID>()
    /// Called before a client gets a descriptor, when `isExported` is set already.
    let exporting = Callback<BufferID>()
    /// Called when the last of very many buffers is gone.
    let emptied = Callback<Void>()
    private let discards = Discards()
    let reclaim = Reclaim()
    /// Tells when removed buffers have ended; nil where that can't be told.
    let ends = Mutex<FileEnds?>(nil)
    /// A removed buffer is left on the device until nobody uses it, for the next server.
    let keepsUsed = Atomic(false)
    /// Who has buffers of others open.
    let useOfOthers = FileUse()

    init(_ backend: any Backend) throws(Errno) {
        self.backend = backend
        seen = Atomic(backend.foreignChanges ?? 0)
        let found = try backend.buffers()
        state.withLock { state in
            state.byID.reserveCapacity(found.count)
            state.byName.reserveCapacity(found.count)
            state.most = found.count
            for description in found {
                let buffer = Buffer(description)
                // By a server before this one.
                buffer.exported()
                state.byID[buffer.id] = buffer
                state.byName[description.name] = buffer
            }
        }
    }

    func whenUnlinked(_ action: @escaping @Sendable (BufferID) -> Void) {
        unlinked.set(action)
    }

    func whenGone(_ action: @escaping @Sendable (BufferID) -> Void) {
        gone.set(action)
    }

    subscript(id: BufferID) -> Buffer? { state.withLock { $0.byID[id] } }
    subscript(name: Name) -> Buffer? { upToDate { $0.byName[name] } }

    /// The name is being given to a buffer at the moment.
    func isReserved(_ name: Name) -> Bool { state.withLock { $0.reserved.contains(name) } }

    var count: Int { upToDate { $0.byName.count } }
    /// When a name was last made, changed or taken.
    var changed: Timestamp { upToDate { $0.changed } }

    /// All that have a name, by number.
    var all: [Buffer] {
        upToDate { Array($0.byName.values) }.sorted { $0.id < $1.id }
    }

    // MARK: What others do

    private func upToDate<T: Sendable>(_ body: (State) -> T) -> T {
        refresh()
        return state.withLock { body($0) }
    }

    /// Others who have the device open make, rename and free buffers, too.
    private func refresh() {
        guard foreignChange != nil else { return }
        let gone: [Buffer] = names.withLock { _ in
            // Another one may have looked meanwhile.
            guard let change = foreignChange else { return [] }
            // Looked at before the device is: an allocation may end meanwhile.
            let known = state.withLock { $0.byName }
            guard let found = try? backend.buffers() else { return [] }
            let (gone, isWhole) = take(found, known)
            if isWhole { seen.store(change, ordering: .releasing) }
            return gone
        }
        for buffer in gone { afterUnlink(buffer) }
    }

    /// The backend's number, where it has changed.
    private var foreignChange: UInt64? {
        guard let now = backend.foreignChanges, now != seen.load(ordering: .acquiring) else {
            return nil
        }
        return now
    }

    /// Gives the table the names that the device had when `found` was listed, after `known`.
    /// - Returns: who has lost his, and whether all names of the device are there. One that is on
    ///   its way to or from a buffer of this server's is not.
    private func take(
        _ found: [BufferDescription], _ known: [Name: Buffer]
    ) -> (gone: [Buffer], isWhole: Bool) {
        let listed = Dictionary(found.map { ($0.id, $0.name) }) { first, _ in first }
        return state.withLock { state in
            var gone: [Buffer] = []
            for (name, buffer) in known where listed[buffer.id] != name {
                state.byName[name] = nil
                guard listed[buffer.id] == nil else { continue }
                buffer.state.withLock { $0.isLinked = false }
                gone.append(buffer)
            }
            var isWhole = true
            for description in found {
                let name = description.name
                if state.byName[name]?.id == description.id { continue }
                guard state.byName[name] == nil, !state.reserved.contains(name) else {
                    isWhole = false
                    continue
                }
                let buffer = state.byID[description.id] ?? Buffer(description, ofOthers: true)
                buffer.state.withLock { $0.name = name }
                state.byID[buffer.id] = buffer
                state.byName[name] = buffer
            }
            state.changed = .now()
            return (gone, isWhole)
        }
    }

    // MARK: Names

    /// - Parameter opens: somebody opens it at once, by the descriptor that making it gave.
    func allocate(
        _ name: Name, size: UInt64, traits: BufferTraits, owner: Ownership, payer: UInt32,
        quotas: Quotas, opens: Bool = false
    ) throws(Refusal) -> Buffer {
        try reclaim.roomy { () throws(Refusal) in
            let charge = try BufferCharge.taking(size, of: payer, from: quotas)
            let buffer = try make(name, traits: traits, opens: opens) { () throws(Refusal) in
                try backend.make(name, size: size, traits: traits, owner: owner)
            }
            buffer.pay(by: charge)
            return buffer
        }
    }

    /// - Parameter body: makes the memory, while the name is reserved.
    func make(
        _ name: Name, traits: BufferTraits, opens: Bool = false,
        _ body: () throws(Refusal) -> NewBuffer
    ) throws(Refusal) -> Buffer {
        let isFree = state.withLock { state in
            state.byName[name] == nil && state.reserved.insert(name).inserted
        }
        guard isFree else { throw Refusal(.fileExists, "\(name) is there already") }
        defer { _ = state.withLock { $0.reserved.remove(name) } }
        let made = try body()
        let id = made.id
        let buffer = Buffer(BufferDescription(id: id, name: name, traits: traits))
        if opens, let file = made.descriptor() {
            let memory = BufferMemory(file)
            buffer.state.withLock { $0.memory = memory }
        }
        state.withLock { state in
            state.byID[id] = buffer
            state.byName[name] = buffer
            state.most = max(state.most, state.byID.count)
            state.changed = .now()
        }
        return buffer
    }

    /// Waits for nobody, so that the event loop may remove buffers, too.
    func remove(_ buffer: Buffer) throws(Errno) {
        let last = lastOfLarge(buffer)
        try changingNames { () throws(Errno) in
            guard buffer.isLinked else { throw .noSuchFileOrDirectory }
            try backend.remove(buffer.description)
            unlink(buffer, for: nil)
        }
        afterUnlink(buffer)
        if let last { reclaim.add { _ = last } }
    }

    /// Where removing a large buffer frees its memory at once, keeps it, to be freed without a lock.
    private func lastOfLarge(_ buffer: @autoclosure () -> Buffer?) -> BufferMemory? {
        guard !backend.discardMayWait, let buffer = buffer(), buffer.isLarge,
            let file = try? backend.open(buffer.description)
        else { return nil }
        return BufferMemory(file)
    }

    private func changingNames<T>(_ body: () throws(Errno) -> T) throws(Errno) -> T {
        try names.withLock { (_) throws(Errno) in try body() }
    }

    /// Takes a buffer's name away, and gives it to another one in the same step.
    private func unlink(_ buffer: Buffer, for other: Buffer?) {
        let name = buffer.state.withLock { state in
            state.isLinked = false
            return state.name
        }
        state.withLock { state in
            state.byName[name] = other
            state.changed = .now()
        }
    }

    /// Frees a buffer that has lost its name, unless somebody uses it.
    private func afterUnlink(_ buffer: Buffer) {
        unlinked.call(buffer.id)
        if buffer.mayOutlive { keepUntilEnd(buffer) }
        let keepsUsed = keepsUsed.load(ordering: .relaxed)
        let isUsed = buffer.state.withLock { state in
            let isUsed = state.handles + state.streams > 0
            state.isDiscardedLate = isUsed && keepsUsed
            return isUsed
        }
        if !isUsed && !buffer.mayBeHeld && buffer.isLarge {
            // It is in the table, and paid for, until its memory is gone.
            return reclaim.add { [self] in
                discard(buffer)
                free(buffer.id)
            }
        }
        if !(isUsed && keepsUsed) { discard(buffer) }
        if !isUsed { free(buffer.id) }
    }

    private func discard(_ buffer: Buffer) {
        let payer = buffer.state.withLock { $0.charge?.payer ?? 0 }
        discards.discard(buffer.id, of: backend, user: payer, isHeld: buffer.mayBeHeld)
    }

    /// A buffer without a name, which a server before this one had open.
    func adopt(_ description: BufferDescription, _ memory: consuming Descriptor) {
        let buffer = Buffer(description)
        buffer.exported()
        let open = BufferMemory(memory)
        buffer.state.withLock { state in
            state.isLinked = false
            state.isDiscardedLate = true
            state.memory = open
        }
        state.withLock { $0.byID[buffer.id] = buffer }
    }

    /// Once for each buffer: whoever takes it out of the table.
    private func free(_ id: BufferID) {
        let (found, isLast) = state.withLock { state in
            (state.byID.removeValue(forKey: id), state.settle())
        }
        guard let buffer = found else { return }
        if buffer.state.withLock({ $0.isDiscardedLate }) { discard(buffer) }
        defer { if isLast { emptied.call(()) } }
        if !buffer.state.withLock({ $0.isKept }) { backend.freed(id) }
        gone.call(id)
    }

    /// Its maker pays for a removed buffer as long as anybody in the system has its memory.
    private func keepUntilEnd(_ buffer: Buffer) {
        guard let file = backend.remains(of: buffer.id) else { return }
        let ends = ends.withLock { $0 }
        do throws(Errno) {
            guard let ends else { throw .notSupported }
            try ends.watch(file) { [backend] in
                backend.freed(buffer.id)
                buffer.settle()
            }
            buffer.state.withLock { $0.isKept = true }
        } catch {
            // It counts for nobody, which is what everybody had before.
        }
    }

    /// `renameat2(2)`
    /// - Parameter mayTake: throws where the name must not be taken from who has it. Called with
    ///   `names` held: it waits for nobody.
    func rename(
        _ buffer: Buffer, to name: Name, flags: RenameFlags,
        mayTake: (Replacement) throws(Errno) -> Void = { _ in }
    ) throws(Errno) {
        let last = lastOfLarge(self[name])
        defer { if let last { reclaim.add { _ = last } } }
        let replaced: Buffer? = try changingNames { () throws(Errno) in
            let (target, isReserved) = state.withLock {
                ($0.byName[name], $0.reserved.contains(name))
            }
            guard buffer.isLinked else { throw .noSuchFileOrDirectory }
            if isReserved { throw flags.contains(.noReplace) ? .fileExists : .resourceBusy }
            if target === buffer { return nil }
            if let target, !flags.contains(.noReplace) {
                try mayTake(
                    Replacement(
                        old: target, oldStatus: try statusNow(of: target), new: buffer,
                        newStatus: try statusNow(of: buffer), isExchange: flags == .exchange,
                        hasAddresses: !(backend is BuslessBackend)))
            }
            try backend.rename(buffer.description, to: name, flags: flags)
            let old = buffer.name
            buffer.state.withLock { $0.name = name }
            if flags.contains(.exchange) {
                target?.state.withLock { $0.name = old }
                state.withLock { state in
                    state.byName[old] = target
                    state.byName[name] = buffer
                }
                return nil
            }
            if let target { unlink(target, for: buffer) }
            state.withLock { state in
                state.byName[old] = nil
                state.byName[name] = buffer
                state.changed = .now()
            }
            return target
        }
        if let replaced { afterUnlink(replaced) }
    }

    // MARK: Use

    /// Does what needs a name's file; once more without a rename under way where it is not there.
    func withDescription<T: ~Copyable>(
        of buffer: Buffer, _ body: (BufferDescription) throws(Errno) -> T
    ) throws(Errno) -> T {
        do throws(Errno) {
            return try body(buffer.description)
        } catch .noSuchFileOrDirectory {
            refresh()
            // A mutex does not give away what can't be copied: the result goes by a variable.
            var result: T?
            var failure = Errno.noSuchFileOrDirectory
            names.withLock { _ in
                guard buffer.isLinked else { return }
                do throws(Errno) {
                    result = try body(buffer.description)
                } catch {
                    failure = error == .noSuchFileOrDirectory ? .ioError : error
                }
            }
            guard let result else { throw failure }
            return result
        }
    }

    /// Of what the memory likes best, which divides the size: shred(1) and others write whole blocks,
    /// beyond the end where they are larger.
    static func blockSize(atMost largest: UInt32, of size: UInt64) -> UInt32 {
        let divisor = UInt64(1) << UInt64(size.trailingZeroBitCount)  // wraps to 0 for 0
        return max(UInt32(clamping: min(divisor, UInt64(largest))), min(4096, largest))
    }

    func status(of buffer: Buffer) throws(Errno) -> FileStatus {
        if let memory = buffer.state.withLock({ $0.memory }) {
            return try backend.status(of: buffer.id, by: memory.descriptor.raw)
        }
        return try withDescription(of: buffer) { (description) throws(Errno) in
            try backend.status(of: description)
        }
    }

    /// The same where no name can change: `names` is held.
    private func statusNow(of buffer: Buffer) throws(Errno) -> FileStatus {
        if let memory = buffer.state.withLock({ $0.memory }) {
            return try backend.status(of: buffer.id, by: memory.descriptor.raw)
        }
        return try backend.status(of: buffer.description)
    }

    /// Who keeps a buffer open.
    enum User { case handle, stream }

    /// The buffer's one descriptor, kept open until the same is given to `release`.
    func acquire(_ buffer: Buffer, as user: User) throws(Errno) -> BufferMemory {
        /// Nil where the memory has to be opened first.
        func enter(_ fresh: BufferMemory?) throws(Errno) -> BufferMemory? {
            try buffer.state.withLock { (state) throws(Errno) in
                if state.isShrinking { throw .resourceBusy }
                // What a removed buffer was made with is not for who comes late: it is freed already.
                // What a server before this one had open is.
                let isUsed = state.handles + state.streams > 0 || state.isDiscardedLate
                let own = state.isLinked || isUsed ? state.memory : nil
                guard let memory = own ?? (state.isLinked ? fresh : nil) else {
                    if fresh == nil { return nil }
                    throw .noSuchFileOrDirectory
                }
                state.memory = memory
                if user == .handle { state.handles += 1 } else { state.streams += 1 }
                return memory
            }
        }
        if let memory = try enter(nil) { return memory }
        let fresh = BufferMemory(
            try withDescription(of: buffer) { (description) throws(Errno) in
                try backend.open(description)
            })
        guard let memory = try enter(fresh) else { throw .noSuchFileOrDirectory }
        return memory
    }

    func release(_ buffer: Buffer, as user: User) {
        let (memory, isGone): (BufferMemory?, Bool) = buffer.state.withLock { state in
            if user == .handle { state.handles -= 1 } else { state.streams -= 1 }
            guard state.handles + state.streams == 0 else { return (nil, false) }
            defer { state.memory = nil }
            return (state.memory, !state.isLinked)
        }
        guard isGone else { return }
        guard buffer.isLarge, let memory else {
            // The last descriptor goes here, without a lock held, and then what it kept.
            _ = consume memory
            return free(buffer.id)
        }
        let last = Mutex<BufferMemory?>(memory)
        reclaim.add { [self] in
            last.withLock { $0 = nil }
            free(buffer.id)
        }
    }

    /// Runs with a descriptor of the buffer, opened for the time where nobody has it open.
    func withMemory<T>(
        of buffer: Buffer, _ body: (BufferMemory) throws(Refusal) -> T
    ) throws(Refusal) -> T {
        let memory: BufferMemory
        do throws(Errno) {
            memory = try acquire(buffer, as: .handle)
        } catch {
            throw Refusal(error, "the buffer can't be opened")
        }
        defer { release(buffer, as: .handle) }
        return try body(memory)
    }
}
