import Glibc
import Synchronization
import SystemPackage

/// All buffers of a device, by number and by name.
///
/// `names` is held while a name is given away, changed or taken, over the backend's calls, so that
/// table and backend never differ; an allocation only reserves its name and zeroes its memory
/// without a lock. Lock order: `names`, `state`, a buffer's own.
final class BufferTable: Sendable {
    private struct State {
        var byID: [BufferID: Buffer] = [:]
        var byName: [Name: Buffer] = [:]
        var reserved: Set<Name> = []
        var changed = Timestamp.now()
    }

    let backend: any Backend
    private let names = Mutex(())
    private let state = Mutex(State())
    /// Called when a buffer has neither name nor user any more.
    private let gone = Mutex<(@Sendable (BufferID) -> Void)?>(nil)

    init(_ backend: any Backend) throws(Errno) {
        self.backend = backend
        let found = try backend.buffers()
        state.withLock { state in
            state.byID.reserveCapacity(found.count)
            state.byName.reserveCapacity(found.count)
            for description in found {
                let buffer = Buffer(description)
                state.byID[buffer.id] = buffer
                state.byName[description.name] = buffer
            }
        }
    }

    func whenGone(_ action: @escaping @Sendable (BufferID) -> Void) {
        gone.withLock { $0 = action }
    }

    subscript(id: BufferID) -> Buffer? { state.withLock { $0.byID[id] } }
    subscript(name: Name) -> Buffer? { state.withLock { $0.byName[name] } }

    var count: Int { state.withLock { $0.byName.count } }
    /// When a name was last made, changed or taken.
    var changed: Timestamp { state.withLock { $0.changed } }

    /// All that have a name, by number.
    var all: [Buffer] {
        state.withLock { Array($0.byName.values) }.sorted { $0.id < $1.id }
    }

    // MARK: Names

    func allocate(
        _ name: Name, size: UInt64, traits: BufferTraits, owner: Ownership
    ) throws(Refusal) -> Buffer {
        let isFree = state.withLock { state in
            state.byName[name] == nil && state.reserved.insert(name).inserted
        }
        guard isFree else { throw Refusal(.fileExists, "\(name) is there already") }
        defer { _ = state.withLock { $0.reserved.remove(name) } }
        let id = try backend.allocate(name, size: size, traits: traits, owner: owner)
        let buffer = Buffer(BufferDescription(id: id, name: name, traits: traits))
        state.withLock { state in
            state.byID[id] = buffer
            state.byName[name] = buffer
            state.changed = .now()
        }
        return buffer
    }

    func remove(_ buffer: Buffer) throws(Errno) {
        let result: Result<UInt64?, Errno> = names.withLock { _ in
            do throws(Errno) {
                guard buffer.isLinked else { throw .noSuchFileOrDirectory }
                let size = try? status(of: buffer).size
                try backend.remove(buffer.description)
                return .success(unlink(buffer) ? size : nil)
            } catch {
                return .failure(error)
            }
        }
        if let size = try result.get() { free(buffer.id, size) }
    }

    /// Takes a buffer out of the tables; true where nobody uses it.
    private func unlink(_ buffer: Buffer) -> Bool {
        let (name, isUnused) = buffer.state.withLock { state in
            state.isLinked = false
            return (state.name, state.handles + state.streams == 0)
        }
        state.withLock { state in
            if state.byName[name] === buffer { state.byName[name] = nil }
            if isUnused { state.byID[buffer.id] = nil }
            state.changed = .now()
        }
        return isUnused
    }

    private func free(_ id: BufferID, _ size: UInt64) {
        backend.freed(bytes: size)
        gone.withLock { $0 }?(id)
    }

    /// `renameat2(2)`
    func rename(_ buffer: Buffer, to name: Name, flags: RenameFlags) throws(Errno) {
        let result: Result<(BufferID, UInt64)?, Errno> = names.withLock { _ in
            do throws(Errno) {
                return .success(try renameLocked(buffer, to: name, flags: flags))
            } catch {
                return .failure(error)
            }
        }
        if let (id, size) = try result.get() { free(id, size) }
    }

    /// What was replaced, where nobody uses it.
    private func renameLocked(
        _ buffer: Buffer, to name: Name, flags: RenameFlags
    ) throws(Errno) -> (BufferID, UInt64)? {
        let (target, isReserved) = state.withLock {
            ($0.byName[name], $0.reserved.contains(name))
        }
        guard buffer.isLinked else { throw .noSuchFileOrDirectory }
        if isReserved { throw flags.contains(.noReplace) ? .fileExists : .resourceBusy }
        if target === buffer { return nil }
        let size = try target.map { (target) throws(Errno) in try status(of: target).size }
        try backend.rename(buffer.description, to: name, flags: flags)
        let old = buffer.name
        var freed: (BufferID, UInt64)?
        if let target {
            if flags.contains(.exchange) {
                target.state.withLock { $0.name = old }
            } else if unlink(target) {
                freed = (target.id, size ?? 0)
            }
        }
        buffer.state.withLock { $0.name = name }
        state.withLock { state in
            state.byName[old] = flags.contains(.exchange) ? target : nil
            state.byName[name] = buffer
            state.changed = .now()
        }
        return freed
    }

    // MARK: Use

    /// Does what needs a name's file, again if the name changed meanwhile.
    private func withDescription<T: ~Copyable>(
        of buffer: Buffer, _ body: (BufferDescription) throws(Errno) -> T
    ) throws(Errno) -> T {
        while true {
            let description = buffer.description
            do throws(Errno) {
                return try body(description)
            } catch .noSuchFileOrDirectory {
                guard buffer.isLinked, buffer.name != description.name else { throw error(buffer) }
            }
        }
    }

    private func error(_ buffer: Buffer) -> Errno {
        buffer.isLinked ? .ioError : .noSuchFileOrDirectory
    }

    func status(of buffer: Buffer) throws(Errno) -> FileStatus {
        if let memory = buffer.state.withLock({ $0.memory }) {
            return try Syscalls.status(of: memory.descriptor.raw)
        }
        return try withDescription(of: buffer) { (description) throws(Errno) in
            try backend.status(of: description)
        }
    }

    /// Who keeps a buffer open.
    enum User { case handle, stream }

    /// The buffer's one descriptor, kept open until the same is given to `release`.
    func acquire(_ buffer: Buffer, as user: User) throws(Errno) -> BufferMemory {
        func enter(_ state: inout Buffer.State, _ fresh: BufferMemory?) -> BufferMemory? {
            guard let memory = state.memory ?? fresh else { return nil }
            state.memory = memory
            if user == .handle { state.handles += 1 } else { state.streams += 1 }
            return memory
        }
        if let memory = buffer.state.withLock({ enter(&$0, nil) }) { return memory }
        let fresh = BufferMemory(
            try withDescription(of: buffer) { (description) throws(Errno) in
                try backend.open(description)
            })
        guard let memory = buffer.state.withLock({ $0.isLinked ? enter(&$0, fresh) : nil }) else {
            throw .noSuchFileOrDirectory
        }
        return memory
    }

    func release(_ buffer: Buffer, as user: User) {
        let (memory, isGone): (BufferMemory?, Bool) = buffer.state.withLock { state in
            if user == .handle { state.handles -= 1 } else { state.streams -= 1 }
            guard state.handles + state.streams == 0 else { return (nil, false) }
            defer { state.memory = nil }
            return (state.memory, !state.isLinked)
        }
        guard let memory, isGone else { return }
        _ = state.withLock { $0.byID.removeValue(forKey: buffer.id) }
        free(buffer.id, (try? Syscalls.status(of: memory.descriptor.raw))?.size ?? 0)
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

    // MARK: Size

    /// `ftruncate(2)` on a buffer.
    /// - Parameter handles: open descriptors that the caller has itself: 1 for ftruncate, else 0.
    func resize(_ buffer: Buffer, to size: UInt64, handles: Int) throws(Refusal) {
        let other = buffer.state.withLock { ($0.handles - handles, $0.streams) }
        try withMemory(of: buffer) { (memory) throws(Refusal) in
            let old: UInt64
            do throws(Errno) {
                old = try Syscalls.status(of: memory.descriptor.raw).size
            } catch {
                throw Refusal(error, "its size can't be read")
            }
            if size == old { return }
            if size < old {
                if other.1 > 0 { throw Refusal(.resourceBusy, "\(buffer.name) is streaming") }
                if other.0 > 0 {
                    throw Refusal(
                        .resourceBusy, "\(buffer.name) is open or mapped \(other.0) times")
                }
                if try isExported(buffer) {
                    throw Refusal(
                        .resourceBusy, "a descriptor of \(buffer.name) was handed out and is open")
                }
            } else if buffer.traits.heap.isFixed && old > 0 {
                throw buffer.sizedOnce(old)
            }
            try backend.resize(memory.descriptor.raw, to: size)
        }
    }

    /// A descriptor that the socket handed out, or a mapping of one, is still there.
    private func isExported(_ buffer: Buffer) throws(Refusal) -> Bool {
        do throws(Errno) {
            // A description of our own, apart from the one that is shared here.
            let probe = try backend.open(buffer.description)
            try Syscalls.lock(probe.raw)
            return false
        } catch .wouldBlock {
            return true
        } catch .noSuchFileOrDirectory {
            // It has no name any more, and the socket gives out named ones only.
            return false
        } catch {
            throw Refusal(error, "the buffer can't be opened")
        }
    }

    /// A descriptor to give away, which `resize` will know of as long as it is open.
    func export(_ buffer: Buffer, readOnly: Bool) throws(Errno) -> Descriptor {
        let own = try withDescription(of: buffer) { (description) throws(Errno) in
            try backend.open(description)
        }
        let given = readOnly ? try Syscalls.reopen(own.raw, flags: O_RDONLY) : own
        try Syscalls.mark(given.raw)
        return given
    }
}
