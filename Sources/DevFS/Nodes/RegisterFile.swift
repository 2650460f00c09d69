import SystemPackage

/// An open `value` or field of a register: a text, of which only a read is a read of the register.
final class RegisterFile: OpenFile {
    private let text: any OpenFile
    /// Whom a write may have to wait for.
    let lane: BufferID?

    init(_ text: any OpenFile, lane: BufferID) {
        self.text = text
        self.lane = lane
    }

    /// `fstat(2)` must not read: the length is that which the path has.
    var length: UInt64? { nil }

    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    {
        try text.read(at: offset, size: size, parked: parked)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        unsafe try text.write(bytes, at: offset)
    }

    /// It may wait for the device, and for others who write.
    func writesWait(_ count: Int) -> Bool { true }
    var hasEnd: Bool { text.hasEnd }
    var flushWaits: Bool { text.flushWaits }
    func flush(by caller: Caller) throws(Errno) { try text.flush(by: caller) }
    var commander: Opener? { text.commander }
    func again(_ answer: [UInt8]) throws(Errno) -> ArraySlice<UInt8>? { try text.again(answer) }
    func keep(in handle: KeptHandle, isAdopted: Bool) {
        text.keep(in: handle, isAdopted: isAdopted)
    }
    func close() { text.close() }
}
