import SystemPackage

/// Requests that bring a descriptor: memory of the peer becomes a buffer.
extension SocketUser {
    /// `import NAME [direction=D]` or `pin NAME OFFSET LENGTH [direction=D]`, after the name.
    static func foreignMemory(
        _ what: Substring, _ words: consuming Words
    ) throws(Refusal) -> (ForeignMemory, Direction) {
        var memory = ForeignMemory.dmaBuf
        if what == "pin" {
            let offset = try words.size("the offset")
            let length = try words.size("the length")
            // Each is 63 bits at the most.
            guard length > 0, offset + length <= UInt64(Int64.max) else {
                throw .invalid("the range is empty, or too long")
            }
            memory = .sharedMemory(offset..<offset + length)
        }
        guard let text = try words.options(["direction"])["direction"] else {
            return (memory, .bidirectional)
        }
        guard let direction = Direction(name: text) else {
            throw .invalid("direction is bidirectional, to_device or from_device")
        }
        return (memory, direction)
    }

    /// - Parameter given: what came with the request.
    func take(
        _ memory: ForeignMemory, _ given: GivenDescriptor?, as name: Name, direction: Direction,
        by caller: Caller, _ peer: Credentials
    ) throws(Refusal) {
        if tree.isReadOnly {
            throw Refusal(.readOnlyFileSystem, "the mount is read-only")
        }
        // Who may write control/alloc may.
        let alloc = FileStatus(
            inode: 0, mode: 0o666 & ~tree.options.umask, uid: tree.options.uid,
            gid: tree.options.gid, at: tree.started)
        guard peer.may(reads: false, writes: true, alloc) else {
            throw Refusal(.permissionDenied, "uid \(peer.uid) may not write control/alloc")
        }
        guard let given else {
            throw Refusal(.badFileDescriptor, "no descriptor came with the request")
        }
        try tree.take(memory, given.raw, as: name, direction: direction, by: caller)
    }
}
