/// Memory of a buffer that is mapped; unmapped when its owner goes. It outlives the ``Buffer``.
///
/// The device may change the memory while it is read: copy what is to be parsed. A buffer that is
/// mapped cannot shrink (EBUSY), so that no access ends the program.
///
/// *Safety*: address and length never change; what is lent by a span cannot outlive the mapping; a
/// span that can be written is lent to one at a time.
@safe public struct BufferMapping: ~Copyable, @unchecked Sendable {
    private let base: UnsafeMutableRawPointer
    /// Bytes.
    public let count: Int
    public let isWritable: Bool

    @unsafe init(_ base: UnsafeMutableRawPointer, count: Int, isWritable: Bool) {
        unsafe self.base = base
        self.count = count
        self.isWritable = isWritable
    }

    deinit { unsafe Calls.unmap(base, count: count) }

    /// The memory, to be read.
    public var bytes: RawSpan {
        @_lifetime(borrow self)
        get {
            let span = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(base), byteCount: count)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// The memory, to be written. The mapping must be writable.
    public var mutableBytes: MutableRawSpan {
        @_lifetime(&self)
        mutating get {
            precondition(isWritable, "the buffer was mapped to be read only")
            let span = unsafe MutableRawSpan(_unsafeStart: base, byteCount: count)
            return unsafe _overrideLifetime(span, mutating: &self)
        }
    }
}
