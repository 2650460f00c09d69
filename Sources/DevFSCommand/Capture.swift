import DevFS
import Glibc
import SystemPackage

/// The newest bytes of a stream, and where a trigger fired in those that came.
struct Capture {
    enum State {
        case running
        case ended
    }

    private let request: ViewRequest
    private let trigger: Trigger?
    private var bytes: [UInt8] = []
    private var room: [UInt8]
    /// Frames of `bytes` in which the trigger was looked for.
    private var scanned = 0
    private var hit: Frames?

    init(_ request: ViewRequest, _ trigger: Trigger?) {
        (self.request, self.trigger) = (request, trigger)
        room = Array(repeating: 0, count: 1 << 18)
    }

    private var size: Int { request.layout.size }
    /// Frames of a picture, and those of them that are before the trigger.
    private var wanted: Int { request.window / size }
    private var before: Int { wanted / 8 }

    /// Takes what the stream has now, but no more than keeps the screen alive.
    ///
    /// - Parameter isFirst: of several places where the trigger fires the first counts, and not the
    ///   newest.
    mutating func fill(
        from file: FileDescriptor, _ interrupts: borrowing Interrupts, isFirst: Bool = false
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
            if let trigger { scan(trigger, isFirst: isFirst) }
            let kept = 2 * request.window
            if bytes.count > 2 * kept { drop(to: kept) }
        }
        return .running
    }

    /// Whole frames go, so that the first byte is a frame's still.
    private mutating func drop(to count: Int) {
        let frames = (bytes.count - count) / size
        bytes.removeFirst(frames * size)
        scanned = max(0, scanned - frames)
    }

    /// Looks at each frame once, as soon as a whole picture is there.
    private mutating func scan(_ trigger: Trigger, isFirst: Bool) {
        let (after, size, field) = (wanted - before, size, request.layout.fields[0])
        var index = max(scanned, before, 1)
        var places: [Int] = []
        unsafe bytes.withUnsafeBytes { bytes in
            let value = { (index: Int) -> Double in
                unsafe field.value(
                    UnsafeRawBufferPointer(rebasing: bytes[index * size..<(index + 1) * size]))
            }
            let end = bytes.count / size - after
            guard index <= end else { return }
            var last = value(index - 1)
            while index <= end {
                let now = index * size < bytes.count - size + 1 ? value(index) : last
                if trigger.fires(from: last, to: now) { places.append(index) }
                last = now
                index += 1
            }
        }
        scanned = index
        guard let place = isFirst ? places.first : places.last, !(isFirst && hit != nil) else {
            return
        }
        hit = frames(from: place - before, count: wanted)
    }

    /// The frames to show; nil where there are too few yet, or the trigger did not fire since.
    mutating func frames(needsAll: Bool = true) -> Frames? {
        if trigger != nil {
            defer { hit = nil }
            return hit
        }
        let whole = bytes.count / size
        guard whole > 0, whole >= wanted || !needsAll else { return nil }
        return frames(from: max(0, whole - wanted), count: min(whole, wanted))
    }

    private func frames(from first: Int, count: Int) -> Frames {
        var frames = Frames(request.layout)
        frames.append(bytes[first * size..<(first + count) * size])
        return frames
    }
}
