import DevFS
import Glibc
import SystemPackage

/// The newest bytes of a stream, enough of them to find a trigger.
struct Capture {
    enum State {
        case running
        case ended
    }

    private let request: ViewRequest
    private var bytes: [UInt8] = []
    private var room: [UInt8]

    init(_ request: ViewRequest) {
        self.request = request
        room = Array(repeating: 0, count: 1 << 18)
    }

    /// Bytes that are kept: some windows, in whole frames.
    private var kept: Int { 4 * request.window }

    /// Takes what the stream has now, but no more than keeps the screen alive.
    mutating func fill(
        from file: FileDescriptor, _ interrupts: borrowing Interrupts
    ) throws -> State {
        var taken = 0
        while taken < 8 << 20 {
            // A poll is what starts a stream.
            guard try interrupts.poll(file, POLLIN, timeout: 0) != 0 else { return .running }
            let request = request
            let count = try unsafe room.withUnsafeMutableBytes {
                try unsafe request.take(file, into: $0)
            }
            guard let count else { return .running }
            if count == 0 { return .ended }
            taken += count
            bytes += room[..<count]
            if bytes.count > 2 * kept { drop(to: kept) }
        }
        return .running
    }

    /// Whole frames go, so that the first byte is a frame's still.
    private mutating func drop(to count: Int) {
        let size = request.layout.size
        bytes.removeFirst((bytes.count - count) / size * size)
    }

    /// The frames to show; nil where there are too few yet, or the trigger did not fire.
    func frames(_ trigger: Trigger?, needsAll: Bool = true) -> Frames? {
        let size = request.layout.size
        let wanted = request.window / size
        let whole = bytes.count / size
        guard whole > 0, whole >= wanted || !needsAll else { return nil }
        var first = max(0, whole - wanted)
        if let trigger {
            let field = request.layout.fields[0]
            var values: [Double] = []
            values.reserveCapacity(whole)
            unsafe Frames.each(request.layout, bytes[...]) { unsafe values.append(field.value($0)) }
            // What was before it is seen, too.
            let before = wanted / 8
            guard
                let place = trigger.newest(
                    in: values, before: before, after: min(wanted, whole) - before)
            else { return nil }
            first = place - before
        }
        var frames = Frames(request.layout)
        frames.append(bytes[first * size..<min(whole, first + wanted) * size])
        return frames
    }
}
