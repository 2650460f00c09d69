import SystemPackage

/// Which requests may take long or wait for somebody. They are the pool's: libfuse's threads serve
/// everyone, so none of them does such a thing. SECURITY.md has the list.
extension FileSystem {
    /// The lane of a change of a buffer, nil for what is none. Whoever gets hold of the file after a look
    /// at who has it can keep its lock, so each change has one, and who finds the buffer busy has his
    /// turn there.
    func lane(changing inode: Inode) -> BufferID? { Node(inode)?.buffer }

    /// The lane of a sync. Memory that is on no bus needs none.
    func lane(syncing buffer: Buffer) -> BufferID? {
        backend is any BuslessBackend && !buffer.isForeign ? nil : buffer.id
    }

    /// What of an open may wait: cutting a buffer for its users, a region, or registers in it, for
    /// the other file of its BAR. The outer nil is neither.
    func work(opening inode: Inode, _ flags: OpenFlags) -> BufferID?? {
        switch Node(inode) {
        case .child(.buffers, let id)? where flags.truncates: .some(BufferID(id))
        case .child(.regions, _)?, .nested(.registers, _)?: .some(nil)
        default: nil
        }
    }

    /// Making a list of so many takes long.
    func isLong(listing directory: Inode) -> Bool {
        switch Node(directory) {
        case .folder(.buffers)?, .folder(.attributes)?: buffers.count > 1000
        case .folder(.registers)?, .nested(.registers, _)?: registers?.isLarge ?? false
        default: false
        }
    }
}
