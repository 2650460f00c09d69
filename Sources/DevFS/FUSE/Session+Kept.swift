import CFuse
import Synchronization
import SystemPackage

/// What of a session outlives its server, by the ledger.
extension Session {
    /// Of the request that this thread has read last; nil where nothing outlives the server.
    func undertaking() -> Undertaking? { tree.ledger.map { Undertaking(in: $0) } }

    /// A number for an open file or directory, by which the next server knows it, too.
    /// - Throws: ENFILE where the ledger has no room.
    func number(
        _ handle: Handle, of inode: Inode, _ flags: OpenFlags, by caller: Caller,
        isDirectory: Bool = false
    ) throws(Errno) -> UInt64 {
        guard let ledger = tree.ledger else { return handles.insert(handle) }
        guard let kept = ledger.handles.make(in: ledger.requests) else {
            throw .tooManyOpenFilesInSystem
        }
        let file = (handle as? OpenHandle)?.file
        file?.keep(in: kept, isAdopted: false)
        let number = handles.insert(handle, as: kept)
        kept.open(
            KeptHandle.Opening(
                inode: inode, flags: flags.bits, isDirectory: isDirectory,
                opener: file?.commander ?? Opener(caller),
                request: Undertaking.current?.unique ?? 0))
        return number
    }

    /// What the server before this one had opened for the present request, and not told.
    func opened() -> UInt64? {
        guard let undertaking = Undertaking.current, undertaking.isResent else { return nil }
        return unanswered.withLock { $0.removeValue(forKey: undertaking.unique) }
    }

    /// Goes on with all that the server before this one had open.
    func adopt() {
        guard let ledger = tree.ledger, ledger.isAdopted else { return }
        backingTable?.adopt()
        for kept in ledger.handles.adopt(in: ledger.requests) {
            let opening = kept.opening
            guard
                let charge = tree.quotas.tryCharge(.files, to: opening.opener.uid)
                    ?? tree.quotas.tryCharge(.files, to: 0)
            else { continue }
            if opening.isDirectory {
                _ = handles.insert(DirectoryHandle(charge), as: kept)
            } else {
                let file = (try? tree.reopen(opening)) ?? LostFile()
                file.keep(in: kept, isAdopted: true)
                let use = try? tree.commandInodes.enter(opening.inode, opening.opener.uid)
                let handle = OpenHandle(file, charge, use)
                var info = fuse_file_info()
                unsafe setFlags(of: &info, handle, OpenFlags(opening.flags))
                _ = handles.insert(handle, as: kept)
            }
            if !kept.isAnswered {
                unanswered.withLock { $0[opening.request] = kept.number }
            }
        }
        backingTable?.closeUnused { [tree] in
            Node($0)?.buffer.map { tree.buffers[$0] != nil } ?? false
        }
    }

    /// Whoever polls looks again, and all that was read and not answered comes once more.
    /// - Throws: what the kernel says; ENODEV where the mount is gone.
    func resume(_ connection: CInt) throws(Errno) {
        for number in handles.polled { _ = cfuse_session_wake_poll(connection, number) }
        try check { cfuse_session_resend(connection) }
    }
}
