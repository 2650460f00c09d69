import SystemPackage

/// What users have, and what is kept for the administrators.
extension FileSystem {
    /// Sets what all users together can have of what the device and this process have, and counts
    /// the buffers that are there.
    func limitUsers() {
        if let descriptors = try? Syscalls.descriptorLimit() {
            // An open buffer takes a descriptor; so do a notification (2), a timer and a connection.
            quotas.limit(.files, toAll: descriptors / 2)
            for resource in [Quotas.Resource.notifications, .signals, .connections, .counters] {
                quotas.limit(resource, toAll: max(8, descriptors / 16))
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
