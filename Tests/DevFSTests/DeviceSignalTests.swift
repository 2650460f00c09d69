import Glibc
import SystemPackage
import Testing

@testable import DevFS

@Suite("Signals that a device makes", .timeLimit(.minutes(1)))
struct DeviceSignalTests {
    private func line(_ file: any OpenFile) throws -> [UInt64] {
        let read = FakeRead()
        if case .bytes(let bytes)? = try file.read(at: 0, size: 4096, parked: read) {
            return String(decoding: bytes, as: UTF8.self).split(separator: " ")
                .compactMap { UInt64($0.filter(\.isNumber)) }
        }
        try #require(read.isFinished(), "no event within 10 s")
        return try #require(read.text).split(separator: " ")
            .compactMap { UInt64($0.filter(\.isNumber)) }
    }

    /// Bytes that can be read without waiting; a read ends where the ring does.
    private static func all(_ file: any OpenFile) throws -> Int {
        var count = 0
        do throws(Errno) {
            while true { count += try file.bytes().count }
        } catch .wouldBlock {
            return count
        } catch {
            throw error
        }
    }

    @Test func `a signal that is made is the device's, and so are its numbers`() throws {
        try withHardware { (client, device) throws in
            try client.write("control/signal", "tick timer period=10ms")
            #expect(device.names == ["tick"])
            let source = try #require(try device.sources().first)
            #expect(source.source == .timer(period: 10_000_000) && source.isEnabled)
            let wait = try client.open("signals/tick/wait")
            defer { wait.close() }
            device.fire(source.id, at: 777)
            #expect(try line(wait) == [1, 1, 0, 777])
            device.change(source.id) { $0.missed = 5 }
            #expect(try client.read("signals/tick/count") == "1\n")
            #expect(try client.read("signals/tick/missed") == "5\n")
            #expect(
                try client.read("control/signal")
                    == "tick timer period=10ms count=1 missed=5 enable=1\n")
            #expect(try client.refusal("control/signal", "tick software") == .fileExists)
            try client.write("control/signal", "tick remove")
            #expect(device.names == [] && device.marks == [])
            #expect(throws: Errno.noDevice) { try line(wait) }
        }
    }

    @Test func `what is triggered can be read at once`() throws {
        try withHardware { (client, device) throws in
            try client.write("control/signal", "go software")
            let wait = try client.open("signals/go/wait")
            defer { wait.close() }
            try client.write("signals/go/trigger", "700")
            #expect(try wait.text().hasPrefix("1 700 0 "))
            let late = try client.open("signals/go/wait")
            defer { late.close() }
            #expect(throws: Errno.wouldBlock) { try late.text() }
            try client.write("signals/go/enable", "0")
            #expect(try client.read("signals/go/enable") == "0\n")
            #expect(
                try client.refusal("signals/go/trigger", "1") == .resourceTemporarilyUnavailable)
            #expect(try client.read("signals/go/count") == "700\n")
        }
    }

    /// "Interrupts of the device are there by themselves"
    @Test func `interrupts are there by themselves and cannot be made, removed or triggered`()
        throws
    {
        try withHardware { (client, device) throws in
            let irq = try device.add("irq0", .interrupt)
            #expect(try client.list("signals") == ["irq0"])
            #expect(
                try client.read("control/signal") == "irq0 interrupt count=0 missed=0 enable=1\n")
            #expect(try client.refusal("signals/irq0/trigger", "1") == .notSupported)
            #expect(try client.refusal("control/signal", "irq0 remove") == .notPermitted)
            try client.write("signals/irq0/enable", "0")
            #expect(try device.status(of: irq).isEnabled == false)
            try client.write("signals/irq0/enable", "1")
            #expect(try device.status(of: irq).isEnabled)
            #expect(try client.refusal("control/signal", "irq1 interrupt") == .invalidArgument)
        }
    }

    @Test func `events are taken by one call of the device, and by no look at the source`() throws {
        try withHardware { (client, device) throws in
            let irq = try device.add("irq0", .interrupt)
            _ = try client.list("signals")
            let file = try client.open("signals/irq0/wait")
            defer { file.close() }
            let before = (
                device.takes.load(ordering: .relaxed), device.looks.load(ordering: .relaxed)
            )
            let read = FakeRead()
            _ = try file.read(at: 0, size: 100, parked: read)
            device.fire(irq, 3)
            #expect(read.isFinished())
            // What the loop does behind the answer comes before this.
            let isDone = SharedFlag()
            client.tree.afterEvents { isDone.set() }
            #expect(holds { isDone.isSet })
            #expect(device.takes.load(ordering: .relaxed) - before.0 == 1)
            #expect(device.looks.load(ordering: .relaxed) == before.1)
            // A whole batch may have more behind it.
            device.fire(irq, 70)
            #expect(try holds { try client.read("signals/irq0/count") == "73\n" })
            #expect(holds { device.takes.load(ordering: .relaxed) - before.0 == 3 })
        }
    }

    @Test func `a storm is said once in the log, and in status as long as it lasts`() throws {
        try withHardware { (client, device) throws in
            let irq = try device.add("irq0", .interrupt)
            _ = try client.list("signals")
            device.change(irq) { $0.isStorm = true }
            device.fire(irq, 3)
            let isLogged = try holds { try client.log().count == 1 }
            #expect(isLogged)
            let text = try client.read("status")
            #expect(text.contains("storm     irq0: masked\n"))
            #expect(try client.log().filter { $0.contains("signals/irq0/enable") }.count == 1)
            #expect(try client.log().filter { $0.contains("parameter irq_storm") }.count == 1)
            try client.write("signals/irq0/enable", "1")
            #expect(try !client.read("status").contains("storm"))
        }
    }

    @Test func `a source of others appears when its name is looked up, and goes with them`() throws
    {
        try withHardware { (client, device) throws in
            let other = try device.add("theirs", .software)
            #expect(try client.read("signals/theirs/count") == "0\n")
            let wait = try client.open("signals/theirs/wait")
            defer { wait.close() }
            let read = FakeRead()
            #expect(try wait.read(at: 0, size: 4096, parked: read) == nil)
            device.steal(other)
            #expect(try client.list("signals") == [])
            #expect(read.isFinished() && read.error == .noDevice)
            // The next one has its number.
            #expect(try device.add("next", .software) == other)
            #expect(try client.list("signals") == ["next"])
        }
    }

    @Test func `an event of a source that nobody has seen makes it appear`() throws {
        try withHardware { (client, device) throws in
            let other = try device.add("theirs", .software)
            device.fire(other, 2)
            let isThere = holds { client.tree.signals[Name("theirs")!] != nil }
            #expect(isThere)
            #expect(try client.read("signals/theirs/count") == "2\n")
        }
    }

    @Test func `what the device dropped is counted, and its newest times are kept`() throws {
        try withHardware { (client, device) throws in
            try client.write("control/signal", "go software")
            let id = try #require(try device.sources().first).id
            let wait = try client.open("signals/go/wait")
            defer { wait.close() }
            device.setQuiet(true)
            // 5,000 events, of which the device keeps 1,024 as records and 256 as times.
            device.fire(id, 5000, at: 1)
            device.setQuiet(false)
            let isTaken = holds { client.tree.signals.all[0].count == 5000 }
            #expect(isTaken)
            #expect(try client.read("signals/go/count") == "5000\n")
            let first = try line(wait)
            #expect(first[0] == first[3], "an event has the time of another")
            #expect(first[0] > 5000 - 1024 && first[1] == 5000 && first[2] == first[0] - 1)
            #expect(try line(wait)[0] == first[0] + 1)
            #expect(try client.read("signals/go/missed") == "\(first[0] - 1)\n")
        }
    }

    @Test func `a clean end removes what mounts made, and nothing else`() throws {
        let device = try FakeHardware()
        try device.add("irq0", .interrupt)
        try device.add("theirs", .software)
        // Of a server that was killed.
        let old = try device.add("old", .timer(period: 1_000_000), isOfMount: true)
        device.fire(old, 12)
        try withHardware(device) { (client, _) throws in
            try client.write("control/signal", "new software")
            #expect(try Set(client.list("signals")) == ["irq0", "theirs", "old", "new"])
            #expect(
                try client.read("control/signal")
                    .contains("old timer period=1ms count=12 missed=0 enable=1\n"))
            let wait = try client.open("signals/old/wait")
            defer { wait.close() }
            device.fire(old, at: 99)
            #expect(try line(wait) == [13, 13, 0, 99])
        }
        #expect(device.names == ["irq0", "theirs"] && device.marks == [])
    }

    @Test func `a signal of the device drives a stream, which is never behind it`() throws {
        try withHardware { (client, device) throws in
            let irq = try device.add("irq0", .interrupt)
            device.fire(irq, 7)
            try client.write("control/alloc", "ring 16K")
            try client.write("control/stream", "adc buffer=ring period=4K source=irq0")
            let data = try client.open("streams/adc/data")
            defer { data.close() }
            try client.write("streams/adc/enable", "1")
            #expect(try client.read("streams/adc/available") == "0\n")
            device.fire(irq, 2)
            let isCounted = try holds {
                try client.read("streams/adc/available") == "8192\n"
            }
            #expect(isCounted)
            // The server is not told, and asks.
            device.setQuiet(true)
            device.fire(irq, 4)
            #expect(try client.read("streams/adc/overruns") == "3\n")
            #expect(try Self.all(data) == 12288)
            device.fire(irq, 1)
            device.setQuiet(false)
            let read = FakeRead(size: 4096)
            if try data.read(at: 0, size: 4096, parked: read) == nil { #expect(read.isFinished()) }
            #expect(try client.read("streams/adc/overruns") == "3\n")
        }
    }

    @Test func `the oldest periods win on a device, too, where the policy is stop`() throws {
        try withHardware { (client, device) throws in
            let irq = try device.add("irq0", .interrupt)
            try client.write("control/alloc", "ring 16K")
            try client.write(
                "control/stream", "adc buffer=ring period=4K source=irq0 policy=stop")
            let data = try client.open("streams/adc/data")
            defer { data.close() }
            try client.write("streams/adc/enable", "1")
            device.setQuiet(true)
            device.fire(irq, 9)
            #expect(try client.read("streams/adc/status") == "overrun\n")
            #expect(try client.read("streams/adc/overruns") == "1\n")
            #expect(try data.bytes().count == 12288)
            #expect(throws: Errno.brokenPipe) { try data.bytes() }
        }
    }

    /// "anything after the device was removed | `ENODEV`"
    @Test func `the removal of the device wakes all who wait, and the mount says so`() throws {
        try withHardware { (client, device) throws in
            let irq = try device.add("irq0", .interrupt)
            try client.write("control/alloc", "ring 16K")
            try client.write("control/stream", "adc buffer=ring period=4K source=irq0")
            let wait = try client.open("signals/irq0/wait")
            let data = try client.open("streams/adc/data")
            defer {
                wait.close()
                data.close()
            }
            let (event, bytes, poller) = (FakeRead(), FakeRead(), FakePoller())
            #expect(try wait.read(at: 0, size: 100, parked: event) == nil)
            #expect(try data.read(at: 0, size: 100, parked: bytes) == nil)
            #expect(wait.poll(poller) == [])
            device.unplug()
            #expect(event.isFinished() && event.error == .noDevice)
            #expect(bytes.isFinished() && bytes.error == .noDevice)
            #expect(poller.isWoken() && wait.poll(nil) == [.hangUp, .error])
            #expect(try client.read("status").contains(" gone: it was removed\n"))
            #expect(throws: Errno.noDevice) { try client.read("signals/irq0/count") }
            #expect(throws: Errno.noDevice) { try client.open("signals/irq0/wait") }
            #expect(throws: Errno.noDevice) { try client.open("streams/adc/data") }
            #expect(try client.refusal("control/signal", "new software") == .noDevice)
            #expect(try client.list("signals") == ["irq0"])
            _ = try client.read("metrics")
            device.fire(irq)
        }
    }

    /// The next device of that name is another server's, whatever keeps this one.
    @Test func `a device that was removed is let go at once`() throws {
        try withHardware { (client, device) throws in
            try client.tree.openSocket()
            let path = try client.read("control/socket").dropLast()
            try client.write("control/signal", "tick timer period=1ms")
            #expect(device.marks == ["tick"] && (try? Syscalls.status(of: String(path))) != nil)
            device.unplug()
            #expect(holds { (try? Syscalls.status(of: String(path))) == nil })
            #expect(device.marks.isEmpty)
            #expect(throws: Errno.noDevice) { try client.read("control/socket") }
            // What the next server has there stays.
            _ = try Syscalls.open(String(path), flags: O_WRONLY | O_CREAT, mode: 0o600)
            device.mark(Name("tick")!, asMount: true)
            client.tree.shutDown()
            #expect((try? Syscalls.status(of: String(path))) != nil && device.marks == ["tick"])
            try Syscalls.unlink(String(path), at: Syscalls.currentDirectory)
        }
    }
}
