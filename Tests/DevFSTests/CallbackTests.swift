import Synchronization
import Testing

@testable import DevFS

@Suite struct CallbackTests {
    struct Calls {
        var count = 0
        var lowest = UInt.max
        var highest: UInt = 0
    }

    /// Each call of a function that a mutex has bare goes some frames deeper than the one before.
    @Test func `the hundred thousandth call goes no deeper than the first`() {
        let callback = Callback<Int>()
        let calls = Mutex(Calls())
        callback.call(1)
        callback.set { number in
            var here = number
            let address = unsafe withUnsafePointer(to: &here) { UInt(bitPattern: $0) }
            calls.withLock {
                $0.count += number
                $0.lowest = min($0.lowest, address)
                $0.highest = max($0.highest, address)
            }
        }
        for _ in 0..<100_000 { callback.call(1) }
        let seen = calls.withLock { $0 }
        #expect(seen.count == 100_000)
        #expect(seen.highest >= seen.lowest && seen.highest - seen.lowest < 4096)
    }
}
