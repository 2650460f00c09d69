import CFuse
import Glibc
import SystemPackage

/// What a request is answered with.
@safe enum Answer {
    /// Success and nothing else.
    case done
    /// With the number by which the kernel is to know it, if it has one already.
    case entry(FileStatus, Inode?)
    case attributes(FileStatus)
    /// A file or a directory, whose handle is in the request's `fuse_file_info`.
    case opened
    case created(FileStatus)
    case bytes(ArraySlice<UInt8>)
    case written(Int)
    case space(SpaceStatus)
    case polled(PollEvents)
    case ioctl
    /// A parked read has the reply now.
    case parked
}

/// The one reply of a request: used up by sending it. One that is dropped unsent answers EIO, so
/// that no client waits for ever.
@safe struct Reply: ~Copyable {
    private let request: fuse_req_t

    init(_ request: fuse_req_t) {
        unsafe self.request = request
    }

    deinit {
        unsafe fuse_reply_err(request, EIO)
    }

    consuming func error(_ error: Errno) {
        unsafe fuse_reply_err(request, error.rawValue)
        discard self
    }

    consuming func done() {
        unsafe fuse_reply_err(request, 0)
        discard self
    }

    /// What one client does all others see at once: a name is lent only where it can be taken back, or
    /// is that of a directory that is always there. Attributes are, shortly, where nobody changes them
    /// unseen.
    private static func entry(_ status: FileStatus, _ handle: Inode? = nil) -> fuse_entry_param {
        var entry = fuse_entry_param()
        let node = Node(Inode(status.inode))
        entry.entry_timeout = status.nameLifetime
        if case .folder? = node { entry.entry_timeout = 3600 }
        entry.ino = fuse_ino_t((handle ?? node?.handle)?.number ?? status.inode)
        entry.generation = UInt64(node?.generation ?? 0)
        entry.attr = status.stat
        entry.attr_timeout = status.lifetime
        return entry
    }

    consuming func entry(_ status: FileStatus, _ handle: Inode?) {
        var entry = Self.entry(status, handle)
        unsafe fuse_reply_entry(request, &entry)
        discard self
    }

    consuming func attributes(_ status: FileStatus) {
        var attributes = status.stat
        unsafe fuse_reply_attr(request, &attributes, status.lifetime)
        discard self
    }

    /// False where the client is gone: then no release will come.
    consuming func opened(_ info: UnsafeMutablePointer<fuse_file_info>) -> Bool {
        let isSent = unsafe fuse_reply_open(request, info) == 0
        discard self
        return isSent
    }

    /// False where the client is gone: then no release will come.
    consuming func created(
        _ status: FileStatus, _ info: UnsafeMutablePointer<fuse_file_info>
    ) -> Bool {
        var entry = Self.entry(status)
        let isSent = unsafe fuse_reply_create(request, &entry, info) == 0
        discard self
        return isSent
    }

    consuming func bytes(_ bytes: UnsafeRawBufferPointer) {
        unsafe fuse_reply_buf(
            request, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        discard self
    }

    consuming func bytes(_ bytes: ArraySlice<UInt8>) {
        unsafe bytes.withUnsafeBytes { bytes in
            _ = unsafe fuse_reply_buf(
                request, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        discard self
    }

    consuming func written(_ count: Int) {
        unsafe fuse_reply_write(request, count)
        discard self
    }

    consuming func space(_ space: SpaceStatus) {
        var status = statvfs()
        status.f_bsize = 4096
        status.f_frsize = 4096
        status.f_blocks = UInt(space.size / 4096)
        status.f_bfree = UInt(space.free / 4096)
        status.f_bavail = UInt(space.available / 4096)
        status.f_files = UInt(space.files)
        status.f_namemax = UInt(Name.longest)
        unsafe fuse_reply_statfs(request, &status)
        discard self
    }

    consuming func polled(_ events: PollEvents) {
        unsafe fuse_reply_poll(request, events.rawValue)
        discard self
    }

    consuming func ioctl() {
        unsafe fuse_reply_ioctl(request, 0, nil, 0)
        discard self
    }
}
