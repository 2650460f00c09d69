import ArgumentParser
import DevFS
import Glibc
import SystemPackage

/// A buffer or a stream that is looked at.
struct ViewSource {
    let tree: Tree
    let folder: Operands.Folder
    let name: Name
    /// Of a stream.
    let record: StreamRecord?

    /// - Parameter words: a path, or a mount and a name. Of a buffer and a stream with the same
    ///   name it is the buffer.
    init(_ words: [String]) throws {
        let operands = try Operands(words, in: .buffers, orIn: .streams)
        try operands.end()
        tree = operands.tree
        name = operands.name
        var folder = operands.folder
        if folder == nil {
            let place = { (folder: Operands.Folder) in
                operands.tree.path("\(folder.rawValue)/\(operands.name.text)")
            }
            let isStream = Files.isDirectory(place(.streams))
            folder = isStream && !Syscalls.isAccessible(place(.buffers), F_OK) ? .streams : .buffers
        }
        self.folder = folder ?? .buffers
        record =
            try self.folder == .buffers
            ? nil : StreamRecord.all(in: tree).first { [name] in $0.name == name.text }
    }

    var path: String { tree.path("\(folder.rawValue)/\(name.text)") }
    var what: String { "viewing \(name.text)" }

    /// Of a generator the rate is known: words of 4 bytes.
    func rate(of layout: SampleLayout) -> SampleRate? {
        guard let record, let words = record.rate else { return nil }
        return SampleRate(hertz: Double(words) * 4 / Double(layout.size))
    }

    /// Opened so that no read waits.
    func open() throws -> FileDescriptor {
        try tree.doing(what) {
            try Files.open(
                folder == .buffers ? path : path + "/data", .readOnly,
                options: folder == .buffers ? [] : .nonBlocking)
        }
    }

    /// Where the device has the buffer.
    func segments() throws -> [Hexdump.Segment] {
        guard folder == .buffers else {
            throw ValidationError("--addresses is for buffers")
        }
        return Hexdump.Segment.all(try tree.text("attributes/\(name.text)/sg_table"))
    }
}

/// What is to be seen of it.
struct ViewRequest {
    let source: ViewSource
    let layout: SampleLayout
    var rate: SampleRate?
    let offset: UInt64
    /// Nil is all of a buffer, and a period of a stream.
    var bytes: UInt64?
    var isSpectrum: Bool

    private static let longestPeriod: UInt64 = 1 << 22

    /// Bytes that are shown of a stream: whole frames.
    var window: Int {
        let wanted = bytes ?? min(source.record?.period ?? 4096, Self.longestPeriod)
        let frame = UInt64(layout.size)
        return Int(clamping: max(1, min(wanted, 1 << 30) / frame) * frame)
    }

    /// Shows half or twice the time, between 16 frames and a million.
    mutating func zoom(by factor: Double) {
        let frames = UInt64(window / layout.size)
        bytes = UInt64(layout.size) * min(max(factor < 1 ? frames / 2 : frames * 2, 16), 1 << 20)
    }

    /// Where the reader comes in the middle of a frame after a loss, all that follows is wrong.
    func checkPeriod() throws {
        guard let period = source.record?.period, period % UInt64(layout.size) != 0 else { return }
        throw Failure(
            source.what,
            "a period of \(period) bytes is no whole number of frames of \(layout.size) bytes")
    }

    /// Calls `body` with the bytes, a part at a time. A buffer that shrinks meanwhile ends early.
    func read(
        _ interrupts: borrowing Interrupts, chunk: Int,
        _ body: (ArraySlice<UInt8>, UInt64) throws -> Void
    ) throws {
        let file = try source.open()
        defer { try? file.close() }
        let isBuffer = source.folder == .buffers
        let limit = isBuffer ? bytes ?? .max : bytes ?? UInt64(window)
        var room = [UInt8](repeating: 0, count: chunk)
        var (done, filled) = (UInt64(0), 0)
        while done + UInt64(filled) < limit {
            let wanted = Int(min(UInt64(chunk - filled), limit - done - UInt64(filled)))
            let count = try unsafe room.withUnsafeMutableBytes { room in
                let part = unsafe UnsafeMutableRawBufferPointer(
                    rebasing: room[filled..<filled + wanted])
                return try unsafe isBuffer
                    ? pread(file, into: part, at: offset + done + UInt64(filled), interrupts)
                    : next(file, into: part, interrupts)
            }
            if count == 0 { break }
            filled += count
            if filled == chunk {
                try body(room[...], offset + done)
                (done, filled) = (done + UInt64(filled), 0)
            }
        }
        if filled > 0 { try body(room[..<filled], offset + done) }
        if done == 0 && filled == 0 {
            throw Failure(
                source.what, isBuffer ? "there is nothing at \(offset)" : "the stream ended")
        }
    }

    private func pread(
        _ file: FileDescriptor, into part: UnsafeMutableRawBufferPointer, at offset: UInt64,
        _ interrupts: borrowing Interrupts
    ) throws -> Int {
        try interrupts.check(source.what)
        guard let offset = Int64(exactly: offset) else { return 0 }
        return try source.tree.doing(source.what) {
            try unsafe file.read(fromAbsoluteOffset: offset, into: part)
        }
    }

    /// Waits for a stream's next bytes; 0 at its end.
    private func next(
        _ file: FileDescriptor, into part: UnsafeMutableRawBufferPointer,
        _ interrupts: borrowing Interrupts
    ) throws -> Int {
        while true {
            try interrupts.check(source.what)
            if let count = try unsafe take(file, into: part) { return count }
            _ = try interrupts.poll(file, POLLIN, timeout: -1)
        }
    }

    /// What a stream has now; 0 at its end, nil where there is nothing yet.
    func take(_ file: FileDescriptor, into part: UnsafeMutableRawBufferPointer) throws -> Int? {
        do {
            return try unsafe file.read(into: part, retryOnInterrupt: false)
        } catch Errno.resourceTemporarilyUnavailable, Errno.interrupted {
            return nil
        } catch Errno.brokenPipe {
            throw Failure(source.what, "an overrun stopped the stream")
        } catch Errno.operationNotSupportedByDevice {
            throw Failure(source.what, "the stream was removed")
        } catch let errno as Errno {
            throw source.tree.failure(source.what, errno)
        }
    }
}
