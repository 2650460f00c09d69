import Glibc
import SystemPackage

/// What `setattr` changes; nil is left as it is.
package struct AttributeChanges: Sendable, Equatable {
    package var mode: UInt32?
    package var uid: UInt32?
    package var gid: UInt32?
    package var size: UInt64?
    /// Nanoseconds may be UTIME_NOW.
    package var accessed: Timestamp?
    package var modified: Timestamp?

    package init() {}
}

extension FileSystem {
    func unlink(_ name: String, in parent: Inode, by caller: Caller) throws(Errno) {
        guard try node(of: parent) == .folder(.buffers) else { throw .notPermitted }
        try checkLength(name)
        let found = Name(name).flatMap { buffers[$0] }
        let undertaking = Undertaking.current
        // The server before this one has removed it: what has the name now is another.
        if let (id, _) = undertaking?.subjects, found?.id.number != id { return }
        guard let buffer = found else { throw .noSuchFileOrDirectory }
        undertaking?.setSubjects(buffer.id.number)
        try remove(buffer, by: caller.uid)
    }

    /// - Throws: EPERM where it is another user's.
    func remove(_ buffer: Buffer, by uid: UInt32) throws(Errno) {
        try checkOwner(of: buffer, uid)
        try buffers.remove(buffer)
        attributesChanged()
    }

    func rename(
        _ old: String, in parent: Inode, to new: String, in newParent: Inode, flags: RenameFlags,
        by caller: Caller
    ) throws(Errno) {
        guard try node(of: parent) == .folder(.buffers),
            try node(of: newParent) == .folder(.buffers)
        else { throw .notPermitted }
        guard flags.isSubset(of: [.noReplace, .exchange]) else { throw .invalidArgument }
        try checkLength(old)
        let target = try newName(new, by: caller)
        let source = Name(old)
        let undertaking = Undertaking.current
        if let (id, replaced) = undertaking?.subjects, buffers[target]?.id.number == id {
            // By the server before this one, which may have died before the end.
            if replaced != 0, !flags.contains(.exchange), let source, let left = buffers[source],
                left.id.number == replaced
            {
                try buffers.remove(left)
            }
            return
        }
        guard let source, let buffer = buffers[source] else { throw .noSuchFileOrDirectory }
        undertaking?.setSubjects(buffer.id.number, buffers[target]?.id.number ?? 0)
        try rename(buffer, to: target, flags: flags, by: caller)
    }

    /// - Throws: EPERM where it, or whom it takes the name from, is another user's; EBUSY where that
    ///   one has what would be lost.
    func rename(
        _ buffer: Buffer, to name: Name, flags: RenameFlags, by caller: Caller
    ) throws(Errno) {
        try checkOwner(of: buffer, caller.uid)
        var refusal: Refusal?
        do throws(Errno) {
            try buffers.rename(buffer, to: name, flags: flags) { (replacement) throws(Errno) in
                try checkOwner(of: replacement.oldStatus, caller.uid)
                refusal = replacement.refusal
                if let refusal { throw refusal.errno }
            }
            attributesChanged()
        } catch {
            guard let refusal else { throw error }
            throw log.add(
                refusal, command: "rename \(buffer.name)".utf8, file: "buffers/\(name)", by: caller)
        }
    }

    func setAttributes(
        _ changes: AttributeChanges, of inode: Inode, file: (any OpenFile)?, by caller: Caller
    ) throws(Errno) -> FileStatus {
        guard let id = try node(of: inode).buffer else { throw .notPermitted }
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
                    try refusing("changing failed") { () throws(Errno) in
                        try apply(changes, to: buffer, memory.descriptor.raw)
                    }
                }
            } catch {
                throw error.errno
            }
        }
        if let open { return try status(of: open) }
        return try status(of: .buffer(id))
    }

    private func apply(
        _ changes: AttributeChanges, to buffer: Buffer, _ descriptor: CInt
    ) throws(Errno) {
        if changes.uid ?? changes.gid ?? changes.mode != nil {
            func set(_ description: BufferDescription) throws(Errno) {
                try backend.setOwner(
                    of: description, by: descriptor, uid: changes.uid, gid: changes.gid,
                    mode: changes.mode)
            }
            if buffer.isLinked {
                try buffers.withDescription(of: buffer, set)
            } else {
                try set(buffer.description)
            }
        }
        if changes.accessed != nil || changes.modified != nil {
            let omit = Timestamp(seconds: 0, nanoseconds: Timestamp.unchanged)
            try Syscalls.setTimes(
                descriptor, accessed: changes.accessed ?? omit,
                modified: changes.modified ?? omit)
        }
    }

}
