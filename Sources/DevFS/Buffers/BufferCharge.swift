/// What a buffer takes of its maker's quota: one of his buffers, and its bytes, whole pages as the
/// device has them. Given back with it.
///
/// It lies in the buffer itself: there may be very many of them.
struct BufferCharge: ~Copyable {
    private let user: Quotas.User
    var payer: UInt32 { user.uid }
    private(set) var bytes: UInt64

    private init(_ user: Quotas.User, _ bytes: UInt64) {
        self.user = user
        self.bytes = bytes
    }

    /// Before a buffer of `bytes` is made.
    /// - Throws: EDQUOT beyond a limit.
    static func taking(
        _ bytes: UInt64 = 0, of uid: UInt32, from quotas: Quotas
    ) throws(Refusal) -> BufferCharge {
        let bytes = bytes.wholePages
        let user = quotas.user(uid)
        guard user.take(.buffers) else { throw user.refusal(.buffers) }
        guard user.take(.bytes, bytes) else {
            user.give(.buffers, 1)
            throw user.refusal(.bytes)
        }
        return BufferCharge(user, bytes)
    }

    /// For a buffer that is there already, whatever the limits.
    static func counting(
        _ bytes: UInt64, of uid: UInt32, in quotas: Quotas
    ) -> BufferCharge {
        let bytes = bytes.wholePages
        let user = quotas.user(uid)
        user.add(.buffers, 1)
        user.add(.bytes, bytes)
        return BufferCharge(user, bytes)
    }

    /// Before the buffer grows to, or when it has shrunk to, `size` bytes.
    /// - Returns: why it must not, with EDQUOT; nothing has changed then.
    mutating func change(to size: UInt64) -> Refusal? {
        let wanted = size.wholePages
        guard wanted > bytes else {
            correct(to: size)
            return nil
        }
        guard user.take(.bytes, wanted - bytes) else { return user.refusal(.bytes) }
        bytes = wanted
        return nil
    }

    /// When the buffer has become `size` bytes long, whatever the limit.
    mutating func correct(to size: UInt64) {
        let wanted = size.wholePages
        if wanted > bytes { user.add(.bytes, wanted - bytes) }
        if wanted < bytes { user.give(.bytes, bytes - wanted) }
        bytes = wanted
    }

    deinit {
        user.give(.bytes, bytes)
        user.give(.buffers, 1)
    }
}
