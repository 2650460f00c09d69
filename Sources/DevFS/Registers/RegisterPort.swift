import Synchronization
import SystemPackage

/// Those who write registers of one memory take turns, from the read of a register to its write.
final class RegisterTurns: Sendable {
    /// Held over system calls that wait for the device at the most, or for who has the file of the
    /// buffer locked.
    private let writing = Mutex(())

    func take<T>(_ body: () throws(Refusal) -> T) throws(Refusal) -> T {
        let result: Result<T, Refusal> = writing.withLock { _ in
            do throws(Refusal) {
                return .success(try body())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

/// By what registers are reached: a region of the device, or a buffer of a memory device.
final class RegisterPort: Sendable {
    enum Place: Equatable {
        case region(Region)
        case buffer(Name)

        var size: UInt64? {
            if case .region(let region) = self { region.size } else { nil }
        }

        var text: String {
            switch self {
            case .region(let region): region.name.text
            case .buffer(let name): "memory:\(name)"
            }
        }
    }

    let place: Place
    /// The pool's lane of those who write, which is no buffer's: one waits there, not on the lock.
    let lane: BufferID
    /// Of the region.
    private let turns = RegisterTurns()
    /// Of buffers that are open. Each has its own: who keeps the file of one locked does not keep those
    /// waiting who write the next one of that name.
    private let turnsOfBuffers = Mutex<[BufferID: Entry]>([:])

    /// Weak: `OpenPort`s keep them.
    private struct Entry {
        weak var turns: RegisterTurns?
    }
    /// Accesses so far.
    let reads = Atomic<UInt64>(0)
    let writes = Atomic<UInt64>(0)

    init(_ place: Place, number: Int) {
        self.place = place
        // Numbers of buffers are below.
        lane = BufferID(1 << 48 + UInt64(number))
    }

    var isWritable: Bool {
        if case .region(let region) = place { region.isWritable } else { true }
    }

    /// - Parameter buffer: nil for the region.
    fileprivate func turns(of buffer: BufferID?) -> RegisterTurns {
        guard let buffer else { return turns }
        return turnsOfBuffers.withLock { present in
            if let turns = present[buffer]?.turns { return turns }
            present = present.filter { $0.value.turns != nil }
            let turns = RegisterTurns()
            present[buffer] = Entry(turns: turns)
            return turns
        }
    }
}

/// A port that is open, as long as this object is there.
final class OpenPort: Sendable {
    private enum Memory: Sendable {
        case region(SharedDescriptor)
        case port(any RegionPort)
        case buffer(Buffer, BufferMemory, BufferTable)
    }

    let port: RegisterPort
    /// Only who writes takes one.
    let turns: RegisterTurns
    private let memory: Memory
    /// Of a region or a buffer that is a file.
    private let descriptor: CInt

    /// The other file of the same BAR may be open for a moment still. `RegionFile`
    private static let patience = Patience(attempts: 20, microseconds: 2500)

    /// May wait for who has the other file of a BAR.
    /// - Throws: ENXIO where the buffer is not there.
    init(_ port: RegisterPort, _ hardware: (any Hardware)?, _ buffers: BufferTable) throws(Refusal)
    {
        self.port = port
        switch port.place {
        case .region(let region):
            guard let hardware else { throw Refusal(.noDevice, "the device is gone") }
            memory = try refusing("the region \(region.name) can't be opened") {
                () throws(Errno) in
                if let port = try hardware.port(of: region) { return .port(port) }
                return try Self.patience.retry { () throws(Errno) in
                    .region(SharedDescriptor(try hardware.open(region, writes: region.isWritable)))
                }
            }
            turns = port.turns(of: nil)
            descriptor = if case .region(let opened) = memory { opened.raw } else { -1 }
        case .buffer(let name):
            guard let buffer = buffers[name] else {
                throw Refusal(.noSuchAddressOrDevice, "there is no buffer \(name)")
            }
            let opened = try refusing("the buffer \(name) can't be opened") { () throws(Errno) in
                try buffers.acquire(buffer, as: .handle)
            }
            memory = .buffer(buffer, opened, buffers)
            turns = port.turns(of: buffer.id)
            descriptor = opened.descriptor.raw
        }
    }

    deinit {
        if case .buffer(let buffer, _, let table) = memory { table.release(buffer, as: .handle) }
    }

    /// Whom a write may have to wait for.
    var lane: BufferID {
        if case .buffer(let buffer, _, _) = memory { buffer.id } else { port.lane }
    }

    // MARK: Accesses

    /// One access of the register's own width; of one of several words, one each.
    func read(_ register: RegisterTable.Item) throws(Errno) -> UInt64 {
        var value: UInt64 = 0
        let width = Int(register.width)
        for word in 0..<UInt64(register.words) {
            let bytes = try bytes(at: register.offset + word * 4, count: width)
            port.reads.add(1, ordering: .relaxed)
            // Beyond the end of a buffer.
            guard bytes.count == width else { throw .noSuchAddressOrDevice }
            let ordered = register.isBigEndian ? bytes : bytes.reversed()
            value = ordered.reduce(word == 0 ? 0 : value) { $0 << 8 | UInt64($1) }
        }
        return value
    }

    func write(_ value: UInt64, to register: RegisterTable.Item) throws(Errno) {
        let width = Int(register.width)
        for word in 0..<UInt64(register.words) {
            let rest = UInt64(register.words) - 1 - word
            let part = value >> (rest * UInt64(width) * 8)
            var bytes = (0..<width).map { UInt8(truncatingIfNeeded: part >> (UInt64($0) * 8)) }
            if register.isBigEndian { bytes.reverse() }
            try check(register.offset + word * 4, width)
            port.writes.add(1, ordering: .relaxed)
            let at = register.offset + word * 4
            try put(bytes, at: at)
        }
    }

    private func bytes(at offset: UInt64, count: Int) throws(Errno) -> [UInt8] {
        if case .port(let port) = memory { return try port.read(at: offset, count: count) }
        return try Syscalls.bytes(of: descriptor, at: offset, count: count)
    }

    private func put(_ bytes: [UInt8], at offset: UInt64) throws(Errno) {
        guard case .port(let port) = memory else {
            _ = unsafe try Syscalls.write(bytes.span.bytes, to: descriptor, at: offset)
            return
        }
        _ = try unsafe bytes.span.bytes.withUnsafeBytes { (bytes) throws(Errno) in
            unsafe try port.write(bytes, at: offset)
        }
    }

    /// A write must not make a buffer longer.
    private func check(_ offset: UInt64, _ width: Int) throws(Errno) {
        guard case .buffer = memory else { return }
        guard try Syscalls.status(of: descriptor).size >= offset + UInt64(width) else {
            throw .noSuchAddressOrDevice
        }
    }
}
