import Glibc
import Synchronization
import Testing

@testable import DevFS

/// Writes by threads that serve everybody, and clients who get the file that is written.
@Suite("Gate of a buffer", .timeLimit(.minutes(1)))
struct BufferGateTests {
    private func buffer() -> Buffer {
        Buffer(
            BufferDescription(
                id: BufferID(1), name: Name("rx")!, traits: BufferTraits(heap: .system)))
    }

    @Test func `no client gets the file while a write is under way`() throws {
        let buffer = buffer()
        #expect(buffer.enter() && buffer.enter())
        let wasGiven = SharedFlag()
        let giver = try Worker("gives") {
            buffer.exported()
            wasGiven.set()
        }
        // It closes the gate before it waits.
        while buffer.enter() { buffer.leave() }
        #expect(!wasGiven.isSet && !buffer.enter())
        buffer.leave()
        usleep(20_000)
        #expect(!wasGiven.isSet)
        buffer.leave()
        giver.join()
        #expect(wasGiven.isSet && !buffer.enter())
    }

    @Test func `writes are quick again after the last direct writer, not after an export`() {
        let buffer = buffer()
        buffer.enterDirectWriter()
        buffer.enterDirectWriter()
        #expect(!buffer.enter())
        buffer.leaveDirectWriter()
        #expect(!buffer.enter())
        buffer.leaveDirectWriter()
        #expect(buffer.enter())
        buffer.leave()
        buffer.enterDirectWriter()
        buffer.exported()
        buffer.leaveDirectWriter()
        #expect(!buffer.enter())
    }
}

final class SharedFlag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}
