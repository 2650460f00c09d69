import Dispatch
import Synchronization
import SystemPackage

@testable import DevFS

/// A parked read that keeps what it is finished with.
final class FakeRead: ParkedRead {
    let size: Int
    private let results = Mutex<[Result<ArraySlice<UInt8>, Errno>]>([])
    private let bell = DispatchSemaphore(value: 0)

    init(size: Int = 4096) {
        self.size = size
    }

    func finish(_ result: Result<ArraySlice<UInt8>, Errno>) {
        results.withLock { $0.append(result) }
        bell.signal()
    }

    /// How often it was finished; more than once is a defect.
    var finishes: Int { results.withLock { $0.count } }

    /// Waits until it is finished; false at the deadline.
    func isFinished(within seconds: Int = 10) -> Bool {
        defer { if finishes > 0 { bell.signal() } }
        return bell.wait(timeout: .now() + .seconds(seconds)) == .success
    }

    var bytes: [UInt8]? { results.withLock { $0.first.flatMap { try? $0.get() }.map(Array.init) } }
    var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }
    var error: Errno? {
        results.withLock { results in
            if case .failure(let error) = results.first { error } else { nil }
        }
    }
}

/// A poller that counts how often it was woken.
final class FakePoller: PollWaiter {
    private let count = Atomic(0)
    private let bell = DispatchSemaphore(value: 0)

    var wakes: Int { count.load(ordering: .sequentiallyConsistent) }

    func wake() {
        count.add(1, ordering: .sequentiallyConsistent)
        bell.signal()
    }

    func isWoken(within seconds: Int = 10) -> Bool {
        bell.wait(timeout: .now() + .seconds(seconds)) == .success
    }
}

/// A listener that keeps what it was told.
final class FakeListener: SignalListener {
    private struct State {
        var ranges: [ClosedRange<UInt64>] = []
        var times: [UInt64] = []
        var ends = 0
    }
    private let state = Mutex(State())

    var ranges: [ClosedRange<UInt64>] { state.withLock { $0.ranges } }
    var times: [UInt64] { state.withLock { $0.times } }
    var ends: Int { state.withLock { $0.ends } }

    func happened(_ numbers: ClosedRange<UInt64>, at time: UInt64) {
        state.withLock {
            $0.ranges.append(numbers)
            $0.times.append(time)
        }
    }

    func ended() { state.withLock { $0.ends += 1 } }
}

extension OpenFile {
    /// A read of bytes now; EAGAIN where it would wait.
    func bytes(at offset: UInt64 = 0, count: Int = 1 << 20) throws(Errno) -> [UInt8] {
        switch try read(at: offset, size: count, parked: nil) {
        case .bytes(let bytes): return Array(bytes)
        case nil: throw .wouldBlock
        }
    }

    func text(count: Int = 1 << 20) throws(Errno) -> String {
        String(decoding: try bytes(count: count), as: UTF8.self)
    }
}
