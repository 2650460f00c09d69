import SystemPackage

/// An open file whose object went while there was no server: all of it is ENODEV.
final class LostFile: OpenFile {
    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    {
        throw .noDevice
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        throw .noDevice
    }

    func poll(_ waiter: (any PollWaiter)?) -> PollEvents { [.hangUp, .error] }
}
