import SystemPackage

/// How long the kernel may take a status for true. A path is looked up anew at each call, and the
/// look-up brings a status; the kernel would ask for it once more behind that, for each directory on the
/// way to see who may pass, and for the file.
///
/// Only what no one changes but by this kernel's requests, which it sees, or by this server, which
/// tells it: `stale`. Neither does a stale size show, then, nor a stale mode. It is short, so that a
/// dead server shows soon.
///
/// So is the name that a buffer was looked up by, where the kernel can be told that no name is true any
/// more without a lock: `ls -l` asks for each name twice in a row.
extension FileSystem {
    static let lifetime = 0.01

    /// Of a directory that is always there: mode and owner never change, and the times of most.
    func lifetime(of directory: Directory) -> Double {
        switch directory {
        case .root, .control, .heaps, .regions, .registers: Self.lifetime
        case .buffers, .attributes: backend.isShared ? 0 : Self.lifetime
        case .signals, .streams: 0
        }
    }

    /// Of a buffer: who has got it by a descriptor changes it unseen, and so do a stream's generator
    /// and others who have the device open.
    func lifetime(of buffer: Buffer) -> Double {
        let isSeen = buffer.state.withLock { $0.streams == 0 && $0.isLinked }
        return isSeen && !buffer.isExported && !backend.isShared ? Self.lifetime : 0
    }

    /// From now on names are lent, which `forget` takes back: all at once, and without a wait.
    func lendNames(_ forget: @escaping @Sendable () -> Void) { lentNames.start(forget) }

    /// The kernel's status of it is not true any more.
    func stale(_ node: Node) { stale.call(node.inode) }

    /// The kernel sees what its own requests change in `buffers/`, and not that `attributes/` changes
    /// with it.
    func attributesChanged() {
        lentNames.takeBackAttributes()
        if lendsAttributes.exchange(false, ordering: .sequentiallyConsistent) {
            stale(.folder(.attributes))
        }
    }

    /// A command has made, removed or renamed a buffer, which the kernel does not see.
    func namesChanged(of buffer: Buffer? = nil) {
        if buffer != nil { lentNames.takeBack() }
        // Once for all the lines of a command, mostly. A reply that is on its way is too old for the
        // kernel: fs/fuse/inode.c, attr_version.
        if lendsNames.exchange(false, ordering: .sequentiallyConsistent) {
            stale(.folder(.buffers))
        }
        attributesChanged()
        // Nobody else has a status of what has no name, or finds another one by a new name.
        if let buffer, buffer.references > 0 { stale(.buffer(buffer.id)) }
    }
}
