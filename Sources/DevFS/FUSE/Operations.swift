import CFuse
import Glibc
import SystemPackage

/// libfuse's table of operations. What is not there answers ENOSYS, which the kernel takes for
/// good: no access check (`default_permissions`), no extended attributes, and with that
/// no question for security.capability before each write.
enum Operations {
    /// Runs one operation and sends its one reply.
    private static func serve(
        _ request: fuse_req_t?, _ kind: Metrics.Request,
        _ info: UnsafeMutablePointer<fuse_file_info>? = nil,
        _ body: (Session, Caller) throws(Errno) -> Answer
    ) {
        guard let request = unsafe request else { return }
        let session = unsafe Session.of(request)
        session.tree.metrics.count(kind)
        let undertaking = session.undertaking()
        do throws(Errno) {
            let caller = unsafe caller(of: request)
            let answer = try Undertaking.during(undertaking) { () throws(Errno) in
                try body(session, caller)
            }
            unsafe send(answer, request, session, info)
            // Who parked it has it now.
            if case .parked = answer { return }
        } catch {
            unsafe Reply(request).error(error)
        }
        undertaking?.end()
    }

    /// Serves a request now, or in the pool where it may take long or wait for somebody.
    ///
    /// - Parameters:
    ///   - later: whose work it is then, and in which lane; nil is now.
    ///   - busy: what is EBUSY for a change of this file's size is served again when that has ended.
    private static func serve(
        _ request: fuse_req_t?, _ kind: Metrics.Request,
        _ info: UnsafeMutablePointer<fuse_file_info>? = nil, bytes: Int = 0, busy: Inode? = nil,
        later: (Session, Caller) throws(Errno) -> (uid: UInt32, lane: BufferID?)?,
        _ body: @escaping @Sendable (Session, Caller, inout fuse_file_info) throws(Errno) -> Answer
    ) {
        guard let request = unsafe request else { return }
        let session = unsafe Session.of(request)
        session.tree.metrics.count(kind)
        let undertaking = session.undertaking()
        do throws(Errno) {
            let caller = unsafe caller(of: request)
            if let work = try later(session, caller), try session.canWait(work.lane) {
                return unsafe try session.serveLater(
                    request, info?.pointee, of: work.uid, lane: work.lane, bytes: bytes,
                    for: undertaking, body)
            }
            let given = unsafe info?.pointee
            var own = given ?? fuse_file_info()
            let answer: Answer
            do throws(Errno) {
                answer = try Undertaking.during(undertaking) { () throws(Errno) in
                    try body(session, caller, &own)
                }
            } catch .resourceBusy {
                guard let busy, let lane = session.tree.lane(changing: busy) else {
                    throw .resourceBusy
                }
                guard session.usesRings else {
                    return unsafe try session.serveLater(
                        request, given, of: caller.uid, lane: lane, bytes: bytes,
                        for: undertaking, body)
                }
                answer = try BufferTable.patience.retry { () throws(Errno) in
                    try body(session, caller, &own)
                }
            }
            unsafe withUnsafeMutablePointer(to: &own) {
                unsafe send(answer, request, session, $0)
            }
        } catch {
            unsafe Reply(request).error(error)
        }
        undertaking?.end()
    }

    /// Does what was left to the pool, and replies unless that was done meanwhile.
    static func answer(
        _ late: LateRequest, _ session: Session, _ given: fuse_file_info,
        _ body: (inout fuse_file_info) throws(Errno) -> Answer
    ) {
        var info = given
        do throws(Errno) {
            let answer = try body(&info)
            guard let request = unsafe late.take() else {
                // Nobody will release what was opened.
                switch answer {
                case .opened, .created: session.handles.remove(info.fh)
                // The client has what was true before.
                case .attributes(let status): session.forgetStatus(of: Inode(status.inode))
                default: break
                }
                return
            }
            unsafe withUnsafeMutablePointer(to: &info) {
                unsafe send(answer, request, session, $0)
            }
        } catch {
            late.fail(error)
        }
    }

    static func caller(of request: fuse_req_t) -> Caller {
        guard let context = unsafe fuse_req_ctx(request) else {
            return Caller(pid: ProcessID(0), uid: UInt32.max, gid: UInt32.max)
        }
        return unsafe Caller(
            pid: ProcessID(context.pointee.pid), uid: context.pointee.uid, gid: context.pointee.gid)
    }

    private static func send(
        _ answer: Answer, _ request: fuse_req_t, _ session: Session,
        _ info: UnsafeMutablePointer<fuse_file_info>?
    ) {
        // The reply is libfuse's own from here on where a parked read has it.
        if case .parked = answer { return }
        let reply = unsafe Reply(request)
        switch answer {
        case .parked: return
        case .done: reply.done()
        case .entry(let status, let handle): reply.entry(status, handle)
        case .attributes(let status): reply.attributes(status)
        case .bytes(let bytes): reply.bytes(bytes)
        case .written(let count): reply.written(count)
        case .space(let space): reply.space(space)
        case .polled(let events): reply.polled(events)
        case .ioctl: reply.ioctl()
        case .opened:
            guard let info = unsafe info else { return }
            let number = unsafe info.pointee.fh
            if unsafe reply.opened(info) {
                session.handles.answered(number)
            } else {
                session.handles.remove(number)
            }
        case .created(let status):
            guard let info = unsafe info else { return }
            let number = unsafe info.pointee.fh
            if unsafe reply.created(status, info) {
                session.handles.answered(number)
            } else {
                session.handles.remove(number)
            }
        }
    }

    /// A name of a request; bytes that are no UTF-8 are no name of ours.
    private static func text(_ name: UnsafePointer<CChar>?) -> String {
        unsafe name.map { unsafe String(cString: $0) } ?? ""
    }

    private static func handle(
        _ info: UnsafeMutablePointer<fuse_file_info>?
    ) throws(Errno) -> OpenHandle {
        guard let info = unsafe info else { throw .badFileDescriptor }
        return unsafe try HandleTable.object(info.pointee.fh, as: OpenHandle.self)
    }

    private static func file(
        _ info: UnsafeMutablePointer<fuse_file_info>?
    ) throws(Errno) -> (any OpenFile)? {
        guard let info = unsafe info, unsafe info.pointee.fh != 0 else { return nil }
        return unsafe try handle(info).file
    }

    private static func file(_ info: fuse_file_info) throws(Errno) -> (any OpenFile)? {
        guard info.fh != 0 else { return nil }
        return try HandleTable.object(info.fh, as: OpenHandle.self).file
    }

    /// A write that is no buffer's bytes, or that may have to wait for who holds the buffer.
    private static func write(
        _ request: fuse_req_t?, _ bytes: UnsafePointer<CChar>?, _ size: Int, _ offset: off_t,
        _ info: UnsafeMutablePointer<fuse_file_info>?
    ) {
        guard let request = unsafe request else { return }
        let session = unsafe Session.of(request)
        session.tree.metrics.count(.write)
        let undertaking = session.undertaking()
        do throws(Errno) {
            guard let info = unsafe info?.pointee, let file = try file(info) else {
                throw .badFileDescriptor
            }
            let given = unsafe UnsafeRawBufferPointer(start: bytes, count: size)
            let lane = unsafe file.lane(writing: given)
            guard file.writesWait(size), try session.canWait(lane) else {
                let count = try Undertaking.during(undertaking) { () throws(Errno) in
                    unsafe try file.write(given, at: UInt64(offset))
                }
                session.tree.metrics.addWritten(count)
                unsafe Reply(request).written(count)
                undertaking?.end()
                return
            }
            // libfuse uses its own memory again for the next request.
            let kept = unsafe Array(given)
            unsafe try session.serveLater(
                request, info, of: caller(of: request).uid, lane: lane, bytes: size,
                for: undertaking
            ) { (session, _, _) throws(Errno) in
                let count = try file.write(kept, at: UInt64(offset))
                session.tree.metrics.addWritten(count)
                return .written(count)
            }
        } catch {
            unsafe Reply(request).error(error)
            undertaking?.end()
        }
    }

    /// A read that may take long, or wait for somebody; false for any other.
    private static func readLater(
        _ request: fuse_req_t?, _ size: Int, _ offset: off_t,
        _ info: UnsafeMutablePointer<fuse_file_info>?
    ) -> Bool {
        guard let request = unsafe request, let info = unsafe info?.pointee,
            let file = (try? file(info)) ?? nil, file.readsWait
        else { return false }
        unsafe serve(
            request, .read, nil,
            later: { (_, caller) throws(Errno) in (caller.uid, file.lane) },
            { (session, _, _) throws(Errno) in
                let result = try file.read(at: UInt64(offset), size: size, parked: nil)
                guard case .bytes(let bytes)? = result else {
                    throw .resourceTemporarilyUnavailable
                }
                session.tree.metrics.addRead(bytes.count)
                return .bytes(bytes)
            })
        return true
    }

    private static func bufferFile(
        _ info: UnsafeMutablePointer<fuse_file_info>?, else error: Errno
    ) throws(Errno) -> BufferFile {
        guard let file = unsafe (try? handle(info))?.file as? BufferFile else { throw error }
        return file
    }

    /// `fuse_lowlevel_ops` for DevFS.
    ///
    /// - Parameter polls: false, the kernel is told at its first `poll(2)` not to ask again.
    static func table(polls: Bool) -> fuse_lowlevel_ops {
        var ops = fuse_lowlevel_ops()
        unsafe ops.`init` = { userdata, connection in
            guard let userdata = unsafe userdata, let connection = unsafe connection else { return }
            let session = unsafe Unmanaged<Session>.fromOpaque(userdata).takeUnretainedValue()
            unsafe session.negotiate(connection)
        }
        addNames(&ops)
        addAttributes(&ops)
        addFiles(&ops)
        addBytes(&ops)
        if polls { addPoll(&ops) }
        addDirectories(&ops)
        return ops
    }

    // MARK: Names

    private static func addNames(_ ops: inout fuse_lowlevel_ops) {
        unsafe ops.lookup = { request, parent, name in
            unsafe Operations.serve(request, .lookup) { (session, caller) throws(Errno) in
                let (name, parent) = (unsafe Operations.text(name), Inode(UInt64(parent)))
                if let (status, handle) = try session.tree.lookup(handle: name, in: parent) {
                    return .entry(status, handle)
                }
                let status = try session.tree.lookup(name, in: parent)
                let node = Node(Inode(status.inode))
                let inodes = session.tree.commandInodes
                return .entry(status, node.flatMap { inodes.inode(of: $0, by: caller.uid) })
            }
        }
        unsafe ops.unlink = { request, parent, name in
            unsafe Operations.serve(request, .unlink) { (session, caller) throws(Errno) in
                try session.tree.unlink(
                    unsafe Operations.text(name), in: Inode(UInt64(parent)), by: caller)
                return .done
            }
        }
        unsafe ops.rename = { request, parent, name, newParent, newName, flags in
            unsafe Operations.serve(request, .rename) { (session, caller) throws(Errno) in
                try session.tree.rename(
                    unsafe Operations.text(name), in: Inode(UInt64(parent)),
                    to: unsafe Operations.text(newName),
                    in: Inode(UInt64(newParent)), flags: RenameFlags(rawValue: flags),
                    by: caller)
                return .done
            }
        }
        unsafe ops.mkdir = { request, _, _, _ in unsafe Operations.refuse(request) }
        unsafe ops.rmdir = { request, _, _ in unsafe Operations.refuse(request) }
        unsafe ops.symlink = { request, _, _, _ in unsafe Operations.refuse(request) }
        unsafe ops.link = { request, _, _, _ in unsafe Operations.refuse(request) }
        unsafe ops.mknod = { request, _, _, _, _ in unsafe Operations.refuse(request) }
    }

    /// What no file of the tree does.
    private static func refuse(_ request: fuse_req_t?) {
        unsafe serve(request, .other) { (_, _) throws(Errno) in throw .notPermitted }
    }

    // MARK: Attributes

    private static func addAttributes(_ ops: inout fuse_lowlevel_ops) {
        unsafe ops.getattr = { request, inode, info in
            unsafe Operations.serve(request, .getattr) { (session, _) throws(Errno) in
                let file = unsafe try Operations.file(info)
                return .attributes(try session.tree.status(of: Inode(UInt64(inode)), file: file))
            }
        }
        unsafe ops.setattr = { request, inode, attributes, mask, info in
            let changes = unsafe attributes.flatMap {
                unsafe try? AttributeChanges($0.pointee, mask)
            }
            let inode = Inode(UInt64(inode))
            let hasFile = unsafe info != nil
            unsafe Operations.serve(
                request, .setattr, info, busy: inode,
                later: { (session, caller) throws(Errno) in
                    session.tree.lane(changing: inode).map { (caller.uid, $0) }
                },
                { (session, caller, info) throws(Errno) in
                    guard let changes else { throw .invalidArgument }
                    let file = hasFile ? try Operations.file(info) : nil
                    return .attributes(
                        try session.tree.setAttributes(changes, of: inode, file: file, by: caller))
                })
        }
        unsafe ops.statfs = { request, _ in
            unsafe Operations.serve(request, .statfs) { (session, _) throws(Errno) in
                .space(try session.tree.space())
            }
        }
    }

    // MARK: Files

    private static func addFiles(_ ops: inout fuse_lowlevel_ops) {
        unsafe ops.create = { request, parent, name, mode, info in
            unsafe Operations.serve(request, .create, info) { (session, caller) throws(Errno) in
                guard let info = unsafe info else { throw .invalidArgument }
                let flags = OpenFlags(unsafe info.pointee.flags)
                if let number = session.opened() {
                    let file = unsafe try session.fill(info, number, flags)
                    return .created(try session.tree.reopenedStatus(of: file))
                }
                let charge = try session.chargeOpen(to: caller)
                let (status, file) = try session.tree.create(
                    unsafe Operations.text(name), in: Inode(UInt64(parent)), mode: mode, flags,
                    by: caller)
                unsafe try session.fill(
                    info, OpenHandle(file, charge), flags, of: Inode(status.inode), by: caller)
                return .created(status)
            }
        }
        unsafe ops.open = { request, inode, info in
            let inode = Inode(UInt64(inode))
            let flags = OpenFlags(unsafe info?.pointee.flags ?? 0)
            unsafe Operations.serve(
                request, .open, info, busy: inode,
                later: { (session, caller) throws(Errno) in
                    session.tree.work(opening: inode, flags).map { (caller.uid, $0) }
                },
                { (session, caller, info) throws(Errno) in
                    if let number = session.opened() {
                        _ = unsafe try session.fill(&info, number, flags)
                        return .opened
                    }
                    let charge = try session.chargeOpen(to: caller)
                    let use = try session.tree.commandInodes.enter(inode, caller.uid)
                    let file = try session.tree.open(inode, flags, by: caller)
                    unsafe try session.fill(
                        &info, OpenHandle(file, charge, use), flags, of: inode, by: caller)
                    // Its length is that of its text from here on.
                    if flags.reads && Node.isHandle(inode) { session.forgetStatus(of: inode) }
                    return .opened
                })
        }
        unsafe ops.flush = { request, _, info in
            unsafe Operations.serve(
                request, .flush, info,
                later: { (_, caller) throws(Errno) in
                    guard let file = unsafe try Operations.file(info), file.hasEnd, file.flushWaits
                    else { return nil }
                    return (caller.uid, file.lane)
                },
                { (_, caller, info) throws(Errno) in
                    if let file = try Operations.file(info), file.hasEnd {
                        try file.flush(by: caller)
                    }
                    return .done
                })
        }
        unsafe ops.release = { request, _, info in
            unsafe Operations.serve(request, .release) { (session, _) throws(Errno) in
                if let info = unsafe info { session.handles.remove(unsafe info.pointee.fh) }
                return .done
            }
        }
    }

    // MARK: Bytes

    private static func addBytes(_ ops: inout fuse_lowlevel_ops) {
        unsafe ops.read = { request, _, size, offset, info in
            if unsafe BufferOperations.read(request, size, offset, info) { return }
            if unsafe Operations.readLater(request, size, offset, info) { return }
            unsafe Operations.serve(request, .read) { (session, _) throws(Errno) in
                guard let request = unsafe request, let info = unsafe info else {
                    throw .invalidArgument
                }
                return unsafe try session.read(
                    request, try Operations.handle(info), at: UInt64(offset), size: size,
                    waits: OpenFlags(info.pointee.flags).waits)
            }
        }
        unsafe ops.write = { request, _, bytes, size, offset, info in
            if unsafe BufferOperations.write(request, bytes, size, offset, info) { return }
            unsafe Operations.write(request, bytes, size, offset, info)
        }
        unsafe ops.fsync = { request, _, _, info in
            unsafe Operations.serve(
                request, .fsync, info,
                later: { (session, caller) throws(Errno) in
                    guard let file = unsafe try Operations.file(info) as? BufferFile else {
                        return nil
                    }
                    return session.tree.lane(syncing: file.buffer).map { (caller.uid, $0) }
                },
                { (_, _, info) throws(Errno) in
                    try (try Operations.file(info) as? BufferFile)?.sync()
                    return .done
                })
        }
        unsafe ops.fallocate = { request, _, mode, offset, length, info in
            unsafe Operations.serve(
                request, .fallocate, info,
                later: { (_, caller) throws(Errno) in
                    (caller.uid, unsafe try Operations.bufferFile(info, else: .notPermitted).lane)
                },
                { (_, caller, info) throws(Errno) in
                    guard let file = try Operations.file(info) as? BufferFile else {
                        throw .notPermitted
                    }
                    let (end, overflow) = offset.addingReportingOverflow(length)
                    guard !overflow else { throw .fileTooLarge }
                    guard offset >= 0, length > 0 else { throw .invalidArgument }
                    try file.allocate(
                        try AllocationMode(mode), UInt64(offset)..<UInt64(end), by: caller)
                    return .done
                })
        }
        unsafe ops.ioctl = { request, _, command, _, info, _, input, inputSize, _ in
            let isSync = command == CFUSE_DMA_BUF_IOCTL_SYNC
            let flags = unsafe inputSize >= 8 ? input?.loadUnaligned(as: UInt64.self) : nil
            unsafe Operations.serve(
                request, .ioctl, info,
                later: { (session, caller) throws(Errno) in
                    guard isSync else { throw .inappropriateIOCTLForDevice }
                    let file = unsafe try Operations.bufferFile(
                        info, else: .inappropriateIOCTLForDevice)
                    return session.tree.lane(syncing: file.buffer).map { (caller.uid, $0) }
                },
                { (_, _, info) throws(Errno) in
                    guard isSync, let file = try Operations.file(info) as? BufferFile else {
                        throw .inappropriateIOCTLForDevice
                    }
                    guard let flags else { throw .invalidArgument }
                    try file.dmaBufSync(flags)
                    return .ioctl
                })
        }
    }

    private static func addPoll(_ ops: inout fuse_lowlevel_ops) {
        unsafe ops.poll = { request, _, info, poll in
            unsafe Operations.serve(request, .poll) { (session, _) throws(Errno) in
                if unsafe poll != nil, let info = unsafe info {
                    session.handles.polls(unsafe info.pointee.fh, as: cfuse_session_poll_number())
                }
                let waiter = unsafe poll.map { unsafe WaitingPoll($0) }
                return .polled(unsafe try Operations.handle(info).file.poll(waiter))
            }
        }
    }

    // MARK: Directories

    private static func addDirectories(_ ops: inout fuse_lowlevel_ops) {
        unsafe ops.opendir = { request, inode, info in
            unsafe Operations.serve(request, .other, info) { (session, caller) throws(Errno) in
                if let number = session.opened() {
                    unsafe info?.pointee.fh = number
                    return .opened
                }
                try session.tree.checkIsThere(Inode(UInt64(inode)))
                let handle = DirectoryHandle(try session.chargeOpen(to: caller))
                let number = try session.number(
                    handle, of: Inode(UInt64(inode)), OpenFlags(0), by: caller, isDirectory: true)
                unsafe info?.pointee.fh = number
                return .opened
            }
        }
        unsafe ops.releasedir = { request, _, info in
            unsafe Operations.serve(request, .other) { (session, _) throws(Errno) in
                guard let number = unsafe info?.pointee.fh else { return .done }
                let handle = try HandleTable.object(number, as: DirectoryHandle.self)
                let isLong = handle.drop() > DirectoryHandle.long
                session.handles.remove(number)
                if isLong { session.tree.giveBackMemory() }
                return .done
            }
        }
        unsafe ops.readdir = { request, inode, size, offset, info in
            let directory = Inode(UInt64(inode))
            let number = unsafe info?.pointee.fh ?? 0
            unsafe Operations.serve(
                request, .readdir, info,
                later: { (session, caller) throws(Errno) in
                    guard session.tree.isLong(listing: directory) else { return nil }
                    // What comes behind the first part is there already, but for who has sought it.
                    let handle = try HandleTable.object(number, as: DirectoryHandle.self)
                    let isMade = offset != 0 && handle.listing.withLock { !$0.entries.isEmpty }
                    return isMade ? nil : (caller.uid, nil)
                },
                { (session, caller, info) throws(Errno) in
                    let handle = try HandleTable.object(info.fh, as: DirectoryHandle.self)
                    // One that a server before this one had open has none yet.
                    if offset == 0 || handle.listing.withLock({ $0.entries.isEmpty }) {
                        let parent = try session.tree.parent(of: directory)
                        let all =
                            [
                                DirectoryEntry(name: ".", inode: directory, isDirectory: true),
                                DirectoryEntry(name: "..", inode: parent, isDirectory: true),
                            ] + (try session.tree.entries(of: directory))
                        let listing = try session.pay(for: all, by: caller)
                        handle.listing.withLock { $0 = listing }
                    }
                    let entries = handle.listing.withLock { $0.entries }
                    return .bytes(
                        Operations.pack(entries, from: Int(clamping: offset), size: size)[...])
                })
        }
    }

    /// As many entries as fit, in the kernel's form; an entry's offset is the next one's index.
    private static func pack(
        _ entries: [DirectoryEntry], from first: Int, size: Int
    ) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: size) { room, filled in
            guard first >= 0, let base = room.baseAddress else { return }
            for index in first..<max(first, entries.count) {
                var status = stat()
                status.st_ino = UInt(entries[index].inode.number)
                status.st_mode = entries[index].isDirectory ? S_IFDIR : S_IFREG
                let used = unsafe base.withMemoryRebound(to: CChar.self, capacity: size) { text in
                    // It has no use for a request.
                    unsafe fuse_add_direntry(
                        nil, text + filled, size - filled, entries[index].name, &status,
                        off_t(index + 1))
                }
                guard used <= size - filled else { return }
                filled += used
            }
        }
    }
}

extension AttributeChanges {
    /// From FUSE_SETATTR: what `mask` (FUSE_SET_ATTR_...) names.
    fileprivate init(_ attributes: stat, _ mask: Int32) throws(Errno) {
        self.init()
        func has(_ flag: Int32) -> Bool { mask & flag != 0 }
        if has(FUSE_SET_ATTR_MODE) { mode = attributes.st_mode & 0o7777 }
        if has(FUSE_SET_ATTR_UID) { uid = attributes.st_uid }
        if has(FUSE_SET_ATTR_GID) { gid = attributes.st_gid }
        if has(FUSE_SET_ATTR_SIZE) {
            guard attributes.st_size >= 0 else { throw .invalidArgument }
            size = UInt64(attributes.st_size)
        }
        let now = Timestamp(seconds: 0, nanoseconds: Timestamp.currentTime)
        if has(FUSE_SET_ATTR_ATIME) { accessed = Timestamp(attributes.st_atim) }
        if has(FUSE_SET_ATTR_MTIME) { modified = Timestamp(attributes.st_mtim) }
        if has(FUSE_SET_ATTR_ATIME_NOW) { accessed = now }
        if has(FUSE_SET_ATTR_MTIME_NOW) { modified = now }
    }
}

extension AllocationMode {
    /// FALLOC_FL_..., linux/falloc.h.
    fileprivate init(_ mode: Int32) throws(Errno) {
        switch mode {
        case 0: self = .grow
        case 1: self = .keepSize
        case 1 | 2, 0x10, 0x10 | 1: self = .zero
        default: throw .notSupported
        }
    }
}
