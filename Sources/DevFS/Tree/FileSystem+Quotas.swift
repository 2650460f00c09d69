import Glibc
import SystemPackage

/// What users have, and what is kept for the administrators.
extension FileSystem {
    /// Sets what all users together can have of what the device and this process have, and counts
    /// the buffers that are there.
    func limitUsers() {
        var limit = rlimit()
        if unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            // An open buffer takes a descriptor; so do a notification (2), a timer and a connection.
            quotas.limit(.files, toAll: UInt64(limit.rlim_cur) / 2)
            for resource in [Quotas.Resource.notifications, .signals, .connections, .counters] {
                quotas.limit(resource, toAll: max(8, UInt64(limit.rlim_cur) / 16))
            }
        }
        if let size = try? backend.space().size { limitBytes(to: size) }
        for buffer in buffers.all {
            guard let status = try? buffers.status(of: buffer) else { continue }
            buffer.pay(by: .counting(status.taken, of: status.uid, in: quotas))
        }
    }
    /// What is kept for the administrators of a device of `size` bytes.
    func limitBytes(to size: UInt64) { quotas.limit(.bytes, toAll: size - size / 16) }
}
