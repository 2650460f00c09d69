import Synchronization
import SystemPackage

/// Frees buffers whose `lease=process` ends with their owner.
final class Leases: Sendable {
    private struct Lease {
        var process: ProcessHandle
        var watch: EventLoop.Watch
    }

    private let loop: EventLoop
    private let buffers: BufferTable
    /// Told of what a removal changes.
    private let stale: Callback<Inode>
    private let lentNames: LentNames
    private let leases = Mutex<[BufferID: Lease]>([:])

    init(
        _ loop: EventLoop, _ buffers: BufferTable, _ stale: Callback<Inode>, _ lentNames: LentNames
    ) {
        self.loop = loop
        self.stale = stale
        self.lentNames = lentNames
        self.buffers = buffers
    }

    /// Binds a buffer to its owner; one whose owner has ended is freed at once.
    func bind(_ buffer: Buffer) throws(Errno) {
        let traits = buffer.traits
        let process: ProcessHandle
        do throws(Errno) {
            process = try ProcessHandle(traits.owner)
            guard try ProcessHandle.startTime(of: traits.owner) == traits.ownerStart else {
                throw .noSuchProcess
            }
        } catch .noSuchProcess {
            try buffers.remove(buffer)
            return tellRemoval(of: buffer)
        }
        let watch = try loop.watch(process.raw) { [weak self] in
            guard let self else { return }
            unbind(buffer.id)
            try? buffers.remove(buffer)
            tellRemoval(of: buffer)
        }
        leases.withLock { $0[buffer.id] = Lease(process: process, watch: watch) }
        // It may have been removed before it was bound.
        if !buffer.isLinked { unbind(buffer.id) }
    }

    private func tellRemoval(of buffer: Buffer) {
        lentNames.takeBack()
        for node in [Node.folder(.buffers), .folder(.attributes), .buffer(buffer.id)] {
            stale.call(node.inode)
        }
    }

    func unbind(_ id: BufferID) {
        guard let lease = leases.withLock({ $0.removeValue(forKey: id) }) else { return }
        loop.stop(lease.watch, lease.process.raw)
    }
}
