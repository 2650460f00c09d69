import Glibc
import SystemPackage

/// What `setattr` changes; nil is left as it is.
public struct AttributeChanges: Sendable, Equatable {
    public var mode: UInt32?
    public var uid: UInt32?
    public var gid: UInt32?
    public var size: UInt64?
    /// Nanoseconds may be UTIME_NOW.
    public var accessed: Timestamp?
    public var modified: Timestamp?

    public init() {}
}

extension FileSystem {
    func unlink(_ name: String, in parent: Inode, by caller: Caller) throws(Errno) {
        guard try node(of: parent) == .directory(.buffers) else { throw .notPermitted }
        guard let valid = Name(name), let buffer = buffers[valid] else {
            throw .noSuchFileOrDirectory
        }
        try remove(buffer, by: caller.uid)
    }

    /// - Throws: EPERM where it is another user's.
    func remove(_ buffer: Buffer, by uid: UInt32) throws(Errno) {
        try checkOwner(of: buffer, uid)
        try buffers.remove(buffer)
    }

    func rename(
        _ old: String, in parent: Inode, to new: String, in newParent: Inode, flags: RenameFlags,
        by caller: Caller
    ) throws(Errno) {
        guard try node(of: parent) == .directory(.buffers),
            try node(of: newParent) == .directory(.buffers)
        else { throw .notPermitted }
        guard flags.isSubset(of: [.noReplace, .exchange]) else { throw .invalidArgument }
        guard let source = Name(old), let buffer = buffers[source] else {
            throw .noSuchFileOrDirectory
        }
        guard let target = Name(new) else { throw .invalidArgument }
        try rename(buffer, to: target, flags: flags, by: caller.uid)
    }

    /// - Throws: EPERM where it, or whom it takes the name from, is another user's.
    func rename(
        _ buffer: Buffer, to name: Name, flags: RenameFlags, by uid: UInt32
    ) throws(Errno) {
        try checkOwner(of: buffer, uid)
        try buffers.rename(buffer, to: name, flags: flags) { (replaced) throws(Errno) in
            try checkOwner(of: replaced, uid)
        }
    }

    func setAttributes(
        _ changes: AttributeChanges, of inode: Inode, file: (any OpenFile)?, by caller: Caller
    ) throws(Errno) -> FileStatus {
        guard case .buffer(let id) = try node(of: inode) else { throw .notPermitted }
        let open = file as? BufferFile
        let buffer = if let open { open.buffer } else { try buffer(id) }
        if let size = changes.size {
            do throws(Refusal) {
                try buffers.resize(buffer, to: size, handles: open == nil ? 0 : 1)
            } catch {
                throw log.add(
                    error, command: "truncate \(size)".utf8, file: "buffers/\(buffer.name)",
                    by: caller)
            }
        }
        if changes.mode ?? changes.uid ?? changes.gid != nil
            || changes.accessed != nil || changes.modified != nil
        {
            do throws(Refusal) {
                try buffers.withMemory(of: buffer) { (memory) throws(Refusal) in
                    try refusing("changing") { () throws(Errno) in
                        try apply(changes, to: memory.descriptor.raw)
                    }
                }
            } catch {
                throw error.errno
            }
        }
        if let open { return try status(of: open) }
        return try status(of: .buffer(id))
    }

    private func apply(_ changes: AttributeChanges, to descriptor: CInt) throws(Errno) {
        if changes.uid ?? changes.gid != nil {
            try Syscalls.setOwner(
                descriptor, uid: changes.uid ?? UInt32.max, gid: changes.gid ?? UInt32.max)
        }
        if let mode = changes.mode { try Syscalls.setMode(descriptor, mode & 0o777) }
        if changes.accessed != nil || changes.modified != nil {
            let omit = Timestamp(seconds: 0, nanoseconds: Timestamp.unchanged)
            try Syscalls.setTimes(
                descriptor, accessed: changes.accessed ?? omit,
                modified: changes.modified ?? omit)
        }
    }

}
