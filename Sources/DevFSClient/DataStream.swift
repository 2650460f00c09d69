import SystemPackage

/// A stream of the device: a buffer that is read as a ring of periods, in order and without end.
public struct DataStream: Sendable {
    public let device: Device
    public let name: String

    /// The stream as it is now.
    ///
    /// - Throws: ``DevFSError`` of the kind `notFound`.
    public var record: StreamRecord {
        get throws(DevFSError) {
            if let found = try device.streams().first(where: { $0.name == name }) { return found }
            throw DevFSError("asking for the stream \(name)", .noSuchFileOrDirectory)
        }
    }

    /// Periods lost so far.
    ///
    /// - Throws: ``DevFSError`` with the errno of the file.
    public var overruns: UInt64 {
        get throws(DevFSError) { UInt64(try device.text("streams/\(name)/overruns")) ?? 0 }
    }

    /// Starts it, or stops it: the reader gets what is left, and then the end.
    ///
    /// - Throws: ``DevFSError`` with the errno of the file.
    public func enable(_ isEnabled: Bool) throws(DevFSError) {
        try device.write(
            isEnabled ? "1" : "0", to: "streams/\(name)/enable", for: "enabling \(name)")
    }

    /// What the stream delivers, in order, each byte once, until the stream is stopped.
    ///
    /// ```swift
    /// for try await chunk in try stream.chunks(of: 1 << 20) { total += chunk.bytes.count }
    /// ```
    ///
    /// - Parameter size: bytes of a chunk at the most; 1 or more.
    /// - Throws: ``DevFSError``: EBUSY while another reads it; `invalid` for a size below 1. The
    ///   sequence throws one of the kind `removed` when the stream is removed, `overrun` where an
    ///   overrun stopped it, and `CancellationError`.
    public func chunks(of size: Int = 1 << 20) throws(DevFSError) -> StreamChunks {
        let what = "reading the stream \(name)"
        guard size > 0 else { throw DevFSError(.invalid, what, "chunks of \(size) bytes") }
        let before = try overruns
        return StreamChunks(
            stream: self, waiter: try Waiter(device, "streams/\(name)/data", what), size: size,
            before: before)
    }
}

/// A part of what a stream delivered.
public struct StreamChunk: Sendable {
    public var bytes: [UInt8]
    /// Bytes that this reader had before.
    public var position: UInt64
    /// Periods that were lost since the sequence was made, up to some moment after these bytes were
    /// read.
    public var overruns: UInt64
}

/// The chunks of a ``DataStream``. One reader at a time.
public struct StreamChunks: AsyncSequence, Sendable {
    public typealias Element = StreamChunk
    fileprivate let stream: DataStream
    fileprivate let waiter: Waiter
    fileprivate let size: Int
    fileprivate let before: UInt64

    public func makeAsyncIterator() -> Iterator { Iterator(chunks: self) }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let chunks: StreamChunks
        private var position: UInt64 = 0

        fileprivate init(chunks: StreamChunks) { self.chunks = chunks }

        public mutating func next() async throws -> StreamChunk? {
            var bytes = [UInt8](repeating: 0, count: chunks.size)
            let count = try await chunks.waiter.read(into: &bytes)
            if count == 0 { return nil }
            bytes.removeSubrange(count...)
            let overruns = try chunks.stream.overruns
            defer { position += UInt64(count) }
            return StreamChunk(
                bytes: bytes, position: position,
                overruns: overruns - Swift.min(chunks.before, overruns))
        }
    }
}

extension Device {
    /// A stream of the tree.
    ///
    /// - Throws: ``DevFSError``: `notFound`; `invalid` for a bad name.
    public func stream(_ name: String) throws(DevFSError) -> DataStream {
        let stream = DataStream(device: self, name: try self.name(name, of: "stream"))
        _ = try stream.overruns
        return stream
    }

    /// Makes a stream.
    ///
    /// - Parameters:
    ///   - buffer: the ring.
    ///   - period: bytes of a period, which divides the ring.
    ///   - source: the signal whose events fill a period, or `pattern`.
    ///   - options: more words of `control/stream`: `rate=1M`, `policy=stop`.
    /// - Throws: ``DevFSError``: EEXIST where the name is taken; other errnos of `control/stream`,
    ///   all with the reason.
    public func makeStream(
        _ name: String, buffer: String, period: Int, source: String, options: [String] = []
    ) throws(DevFSError) -> DataStream {
        let name = try self.name(name, of: "stream")
        let words = ["buffer=\(buffer)", "period=\(period)", "source=\(source)"] + options
        try self.write(
            "\(name) \(words.joined(separator: " "))", to: "control/stream",
            for: "making the stream \(name)")
        return DataStream(device: self, name: name)
    }

    /// Removes a stream; who reads it is woken.
    ///
    /// - Throws: ``DevFSError``: `notFound`; EPERM.
    public func removeStream(_ name: String) throws(DevFSError) {
        let name = try self.name(name, of: "stream")
        try self.write("\(name) remove", to: "control/stream", for: "removing the stream \(name)")
    }
}
