import DevFSBase

/// A buffer, as a line of `control/alloc` tells it.
public struct BufferRecord: Encodable, Sendable {
    public var name: String
    /// Bytes.
    public var size: UInt64
    /// `system`, `contiguous`, `coherent`, ...
    public var heap: String
    /// `bidirectional`, `to_device` or `from_device`.
    public var direction: String
    /// The login name of its owner, or the number where it has none.
    public var owner: String
    public var uid: UInt32
    public var gid: UInt32
    /// Permissions, octal.
    public var mode: String
    /// Process that allocated it, 0 when that has ended.
    public var pid: UInt64
    /// Open descriptors and streams on it.
    public var refs: UInt64
    /// `mount` or `process`.
    public var lease: String

    package init?(_ line: Substring) {
        guard let parsed = ControlLine(line), let bytes = parsed.words.first else { return nil }
        name = parsed.name
        size = UInt64(bytes) ?? 0
        heap = parsed.text("heap")
        direction = parsed.text("direction")
        uid = UInt32(clamping: parsed.number("uid") ?? 0)
        gid = UInt32(clamping: parsed.number("gid") ?? 0)
        owner = Accounts.name(of: uid) ?? String(uid)
        mode = parsed.text("mode")
        pid = parsed.number("owner") ?? 0
        refs = parsed.number("refs") ?? 0
        lease = parsed.text("lease")
    }
}

extension Device {
    /// All buffers, by name.
    ///
    /// - Throws: ``DevFSError`` with the errno of reading `control/alloc`.
    public func buffers() throws(DevFSError) -> [BufferRecord] {
        try lines("control/alloc").compactMap { BufferRecord($0) }.sorted { $0.name < $1.name }
    }

    /// All signals, by name.
    ///
    /// - Throws: ``DevFSError`` with the errno of reading `control/signal`.
    public func signals() throws(DevFSError) -> [SignalRecord] {
        try lines("control/signal").compactMap { SignalRecord($0) }.sorted { $0.name < $1.name }
    }

    /// All streams, by name.
    ///
    /// - Throws: ``DevFSError`` with the errno of reading `control/stream`.
    public func streams() throws(DevFSError) -> [StreamRecord] {
        try lines("control/stream").compactMap { StreamRecord($0) }.sorted { $0.name < $1.name }
    }
}
