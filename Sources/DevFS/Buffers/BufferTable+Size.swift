import Glibc
import Synchronization
import SystemPackage

extension BufferTable {
    /// `ftruncate(2)` on a buffer.
    ///
    /// A buffer of a fixed heap keeps its size, whoever uses it, and what would be cut becomes zero:
    /// tools that make a file shorter before they fill it leave out what is zero (`cp`, `dd
    /// conv=sparse`), or write less than there was (`sort -o`, `rsync --inplace`).
    /// - Parameter handles: open descriptors that the caller has itself: 1 for ftruncate, else 0.
    func resize(_ buffer: Buffer, to size: UInt64, handles: Int) throws(Refusal) {
        try withMemory(of: buffer) { (memory) throws(Refusal) in
            let status: FileStatus
            do throws(Errno) {
                status = try Syscalls.status(of: memory.descriptor.raw)
            } catch {
                throw Refusal(error, "its size can't be read")
            }
            let old = status.size
            if size == old { return }
            if size < old && buffer.traits.heap.isFixed {
                do throws(Errno) {
                    return try backend.zero(memory.descriptor.raw, size..<old)
                } catch {
                    throw Refusal(error, "its bytes can't be made zero")
                }
            }
            if size < old {
                try shrink(buffer, memory, to: size, handles: handles)
                return buffer.correctCharge(size)
            }
            if buffer.traits.heap.isFixed && old > 0 { throw buffer.sizedOnce(old) }
            try reclaim.roomy { () throws(Refusal) in
                try buffer.charge(size)
                do throws(Refusal) {
                    try backend.resize(memory.descriptor.raw, to: size)
                } catch {
                    buffer.correctCharge(status.taken)
                    throw error
                }
            }
        }
    }

    /// A client's close(2) returns before its release has reached the server, and the kernel gives
    /// backing files back later still: who seems to have the buffer open is looked for again. That is
    /// for a thread of the pool (`FileSystem+Work`), or of the peer's own; where requests come by rings,
    /// which none can be replied to later, the ring's has to.
    static let patience = Patience(attempts: 20, microseconds: 2500)

    private func shrink(
        _ buffer: Buffer, _ memory: BufferMemory, to size: UInt64, handles: Int
    ) throws(Refusal) {
        func isBusy(_ refusal: Refusal) -> Bool { refusal.errno == .resourceBusy }
        try Self.patience.retry(while: isBusy) { () throws(Refusal) in
            try shrinkNow(buffer, memory, to: size, handles: handles)
        }
    }

    private func shrinkNow(
        _ buffer: Buffer, _ memory: BufferMemory, to size: UInt64, handles: Int
    ) throws(Refusal) {
        // From here on nobody begins to use it; `withMemory` has a handle of its own.
        let (others, streams) = buffer.state.withLock { state in
            let counts = (state.handles - handles - 1, state.streams)
            if counts == (0, 0) { state.isShrinking = true }
            return counts
        }
        if streams > 0 { throw Refusal(.resourceBusy, "\(buffer.name) is streaming") }
        if others > 0 {
            throw Refusal(.resourceBusy, "\(buffer.name) is open \(others) times")
        }
        defer { buffer.state.withLock { $0.isShrinking = false } }
        if try isUsedOutside(buffer, memory, handles: handles) {
            throw Refusal(.resourceBusy, "\(buffer.name) is mapped, or its descriptor handed out")
        }
        try backend.resize(memory.descriptor.raw, to: size)
    }

    /// Somebody has the memory by a descriptor or a mapping that the mount does not know of: from
    /// the socket, or by a mapping whose descriptor was closed.
    private func isUsedOutside(
        _ buffer: Buffer, _ memory: BufferMemory, handles: Int
    ) throws(Refusal) -> Bool {
        if try isExported(buffer) { return true }
        // A write lease is given to the only one that has an inode open, mappings included. Who
        // comes with a descriptor of his own has the kernel's backing file open by it, so there
        // the lease can't tell.
        guard handles == 0, buffer.isLinked else { return false }
        // The registration for passthrough holds a file as well; the next open makes it anew.
        gone.call(buffer.id)
        return !Syscalls.isSoleUser(memory.descriptor.raw)
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
    ///
    /// Whoever gets it has what it was opened for and no more: the file is the server's alone, so
    /// the kernel lets nobody else open it again, change it or take a lease on it.
    func export(_ buffer: Buffer, readOnly: Bool) throws(Errno) -> Descriptor {
        buffer.exported()
        exporting.call(buffer.id)
        let given = try withDescription(of: buffer) { (description) throws(Errno) in
            readOnly ? try backend.openReadOnly(description) : try backend.open(description)
        }
        do throws(Errno) {
            try Syscalls.mark(given.raw)
        } catch .wouldBlock {
            // Somebody who has one holds the lock for himself, which `resize` sees as well.
        }
        // Looked at after the mark: `resize` looks for marks after it has said that it shrinks.
        if buffer.state.withLock({ $0.isShrinking }) { throw .resourceBusy }
        // What opening needed is none of theirs: no wait for a lease.
        try Syscalls.setFlags(given.raw, 0)
        return given
    }
}
