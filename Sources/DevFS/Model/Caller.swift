/// A process by number. The number alone can mean a later process: see `ProcessHandle`.
public struct ProcessID: Hashable, Sendable {
    public let number: Int32

    public init(_ number: Int32) {
        self.number = number
    }
}

/// Who made a request.
public struct Caller: Sendable, Equatable {
    public var pid: ProcessID
    public var uid: UInt32
    public var gid: UInt32

    public init(pid: ProcessID, uid: UInt32, gid: UInt32) {
        self.pid = pid
        self.uid = uid
        self.gid = gid
    }
}
