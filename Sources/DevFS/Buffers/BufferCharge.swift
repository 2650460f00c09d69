/// What a buffer takes of its maker's quota: one of his buffers, and its bytes, whole pages as the
/// device has them. Given back with it.
///
/// It lies in the buffer itself: there may be very many of them.
struct BufferCharge: ~Copyable {
    private let quotas: Quotas
    private var bytes: UInt64
    private let uid: UInt32

    private init(_ quotas: Quotas, _ uid: UInt32, _ bytes: UInt64) {
        self.quotas = quotas
        self.uid = uid
        self.bytes = bytes
    }

    /// Before a buffer of `bytes` is made.
    /// - Throws: EDQUOT beyond a limit.
    static func taking(
        _ bytes: UInt64 = 0, of uid: UInt32, from quotas: Quotas
    ) throws(Refusal) -> BufferCharge {
        let bytes = bytes.wholePages
        guard quotas.take(.buffers, 1, uid) else { throw quotas.refusal(.buffers, uid) }
        guard quotas.take(.bytes, bytes, uid) else {
            quotas.give(.buffers, 1, uid)
            throw quotas.refusal(.bytes, uid)
        }
        return BufferCharge(quotas, uid, bytes)
    }

    /// For a buffer that is there already, whatever the limits.
    static func counting(
        _ bytes: UInt64, of uid: UInt32, in quotas: Quotas
    ) -> BufferCharge {
        let bytes = bytes.wholePages
        quotas.add(.buffers, 1, uid)
        quotas.add(.bytes, bytes, uid)
        return BufferCharge(quotas, uid, bytes)
    }

    /// Before the buffer grows to, or when it has shrunk to, `size` bytes.
    /// - Returns: why it must not, with EDQUOT; nothing has changed then.
    mutating func change(to size: UInt64) -> Refusal? {
        let wanted = size.wholePages
        guard wanted > bytes else {
            correct(to: size)
            return nil
        }
        guard quotas.take(.bytes, wanted - bytes, uid) else {
            return quotas.refusal(.bytes, uid)
        }
        bytes = wanted
        return nil
    }

    /// When the buffer has become `size` bytes long, whatever the limit.
    mutating func correct(to size: UInt64) {
        let wanted = size.wholePages
        if wanted > bytes { quotas.add(.bytes, wanted - bytes, uid) }
        if wanted < bytes { quotas.give(.bytes, bytes - wanted, uid) }
        bytes = wanted
    }

    deinit {
        quotas.give(.bytes, bytes, uid)
        quotas.give(.buffers, 1, uid)
    }
}
