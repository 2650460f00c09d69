/// A process by number. The number alone can mean a later process: see `ProcessHandle`.
package struct ProcessID: Hashable, Sendable {
    package let number: Int32

    package init(_ number: Int32) {
        self.number = number
    }
}

/// Who made a request.
package struct Caller: Sendable, Equatable {
    package var pid: ProcessID
    package var uid: UInt32
    package var gid: UInt32

    package init(pid: ProcessID, uid: UInt32, gid: UInt32) {
        self.pid = pid
        self.uid = uid
        self.gid = gid
    }
}
