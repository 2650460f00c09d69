import Dispatch
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import DevFS

/// What a real-time signal brought this process. Real-time signals come in order.
private final class SignalInbox {
    /// Slot 0 counts, the rest are values: a handler can't do more than store.
    private static let slots = (0..<64).map { _ in Box() }
    private final class Box: Sendable { let value = Atomic(0) }
    private static let turn = DispatchSemaphore(value: 1)
    private let number: Int32

    init(_ number: Int32) throws {
        Self.turn.wait()
        self.number = number
        for slot in Self.slots { slot.value.store(0, ordering: .sequentiallyConsistent) }
        var action = sigaction()
        action.sa_flags = SA_SIGINFO | SA_RESTART
        unsafe action.__sigaction_handler.sa_sigaction = { _, info, _ in
            guard let info = unsafe info, unsafe info.pointee.si_code == SI_QUEUE else { return }
            let count = SignalInbox.slots[0].value.add(1, ordering: .sequentiallyConsistent)
            let value = unsafe Int(info.pointee._sifields._rt.si_sigval.sival_int)
            if count.newValue < 64 {
                SignalInbox.slots[count.newValue].value.store(
                    value, ordering: .sequentiallyConsistent)
            }
        }
        try #require(unsafe sigaction(number, &action, nil) == 0)
    }

    var values: [Int] {
        let count = Self.slots[0].value.load(ordering: .sequentiallyConsistent)
        return Self.slots[1...].prefix(count).map {
            $0.value.load(ordering: .sequentiallyConsistent)
        }
    }

    deinit {
        signal(number, SIG_IGN)
        Self.turn.signal()
    }
}

@Suite("signals/NAME", .timeLimit(.minutes(1)))
struct NotifyTests {
    private func withSignal(_ body: (Client) throws -> Void) throws {
        try withTree { (client) throws in
            try client.write("control/signal", "go software")
            try body(client)
        }
    }

    @Test func `count, missed, enable and trigger are those of the manual`() throws {
        try withSignal { (client) throws in
            try client.write("signals/go/trigger", "1")
            try client.write("signals/go/trigger", "1000000\n")
            #expect(try client.read("signals/go/count") == "1000001\n")
            #expect(try client.read("signals/go/missed") == "0\n")
            for bad in ["0", "1000001", "-1", "", "x", "1 1", "1.0"] {
                #expect(try client.refusal("signals/go/trigger", bad) == .invalidArgument)
            }
            for bad in ["2", "", "yes", "01", "-1", "1 0"] {
                #expect(try client.refusal("signals/go/enable", bad) == .invalidArgument)
            }
            try client.write("signals/go/enable", "0")
            #expect(try client.read("signals/go/enable") == "0\n")
            #expect(
                try client.refusal("signals/go/trigger", "1") == .resourceTemporarilyUnavailable)
            #expect(try client.read("signals/go/count") == "1000001\n")
        }
    }

    /// Section 1: numbers take "an optional binary suffix"
    @Test func `trigger takes a number with a suffix, as every file does`() throws {
        try withSignal { (client) throws in
            #expect(try client.refusal("signals/go/trigger", "1K") == nil)
            #expect(try client.read("signals/go/count") == "1024\n")
        }
    }

    private func count(_ client: Client, _ name: String) throws -> Int {
        let text = try client.read("signals/\(name)/count")
        return try #require(Int(text.dropLast()))
    }

    @Test func `a timer counts, is masked by enable, and can't be triggered`() throws {
        try withTree { (client) throws in
            try client.write("control/signal", "tick timer period=1ms")
            let counts = try holds { try count(client, "tick") > 3 }
            #expect(counts)
            let refusal = try client.refusal("signals/tick/trigger", "1")
            #expect(refusal == .notSupported)
            try client.write("signals/tick/enable", "0")
            // One that was under way may still come; then none.
            let masked = try count(client, "tick")
            let goesOn = try holds(within: .seconds(0.05)) {
                try count(client, "tick") > masked + 1
            }
            #expect(!goesOn)
            try client.write("signals/tick/enable", "1")
            let resumes = try holds { try count(client, "tick") > masked + 3 }
            #expect(resumes)
            let text = try client.read("control/signal")
            #expect(text.hasPrefix("tick timer period=1ms count="))
        }
    }

    /// "remove of one that a stream of one's own uses | `EBUSY`", one that is taken, and one that
    /// is unknown.
    @Test func `refused signal commands have the manual's errno`() throws {
        try withSignal { (client) throws in
            #expect(try client.refusal("control/signal", "go software") == .fileExists)
            #expect(try client.refusal("control/signal", "go timer period=1s") == .fileExists)
            #expect(try client.refusal("control/signal", "no remove") == .noSuchFileOrDirectory)
            try client.write("control/alloc", "rx 8K")
            try client.write("control/stream", "s buffer=rx period=4K source=go")
            #expect(try client.refusal("control/signal", "go remove") == .resourceBusy)
            try client.write("control/stream", "s remove")
            let file = try client.open("signals/go/wait")
            defer { file.close() }
            try client.write("control/signal", "go remove")
            #expect(throws: Errno.noDevice) { try file.bytes() }
            #expect(try client.list("signals").isEmpty)
        }
    }

    /// "One registration a process and signal number; a second replaces the first." "`PID off`"
    @Test func `registrations are listed, replaced and removed`() throws {
        try withSignal { (client) throws in
            let child = try Child()
            try client.write(
                "signals/go/notify",
                "\(child.pid) CHLD 7\n\(child.pid) SIGURG\n\(child.pid) SIGCHLD 8\n")
            let lines = Set(try client.read("signals/go/notify").split(separator: "\n"))
            #expect(lines == ["\(child.pid) SIGCHLD 8", "\(child.pid) SIGURG"])
            try client.write("signals/go/notify", "\(child.pid) off")
            #expect(try client.read("signals/go/notify").isEmpty)
            #expect(
                try client.refusal("signals/go/notify", "\(child.pid) off") == .noSuchProcess)
        }
    }

    /// "each event sends that process the signal by `sigqueue`, `si_value` = VALUE (a 32-bit
    /// integer, default: the event's number)"
    @Test(
        arguments: [("", [1, 2, 3]), (" 41", [41, 41, 41]), (" -5", [-5, -5, -5])]
            as [(String, [Int])], [37, 64])
    func `each event sends the signal with its value`(
        value: (String, [Int]), number: Int32
    ) throws {
        try withSignal { (client) throws in
            let inbox = try SignalInbox(number)
            try client.write("signals/go/notify", "\(getpid()) \(number)\(value.0)")
            try client.write("signals/go/trigger", "1")
            try client.write("signals/go/trigger", "2")
            #expect(holds { inbox.values.count >= 3 })
            #expect(inbox.values == value.1)
            try client.write("signals/go/notify", "\(getpid()) off")
            try client.write("signals/go/trigger", "1")
            #expect(inbox.values.count == 3)
            #expect(try client.read("signals/go/missed") == "0\n")
        }
    }

    /// "It ends with the process"
    @Test func `a registration ends with its process`() throws {
        try withSignal { (client) throws in
            let child = try Child()
            try client.write("signals/go/notify", "\(child.pid) URG")
            #expect(try !client.read("signals/go/notify").isEmpty)
            child.end()
            #expect(try holds { try client.read("signals/go/notify").isEmpty })
            #expect(
                try client.refusal("signals/go/notify", "\(child.pid) URG") == .noSuchProcess)
            try client.write("signals/go/trigger", "1")
        }
    }

    /// "PID is that of the opener's pid namespace. No such process, or one that can't be told for
    /// certain: `ESRCH`."
    @Test func `who can't be seen from here names no process`() throws {
        try withSignal { (client) throws in
            let child = try Child()
            var stranger = client
            stranger.caller = try .stranger()
            #expect(
                try stranger.refusal("signals/go/notify", "\(child.pid) URG") == .noSuchProcess)
            #expect(try stranger.refusal("signals/go/notify", "1 KILL") == .noSuchProcess)
            #expect(try client.read("signals/go/notify").isEmpty)
            #expect(try client.log().allSatisfy { $0.contains("uid=54321") })
        }
    }

    @Test(.enabled(if: Machine.isRoot, "only root can start a process of another user"))
    func `one's own process is allowed without any capability`() throws {
        try withSignal { (client) throws in
            let command = ["setpriv", "--reuid=54321", "--clear-groups", "sleep", "300"]
            let (own, caller) = (try Child(command), try Child(command))
            #expect(
                holds {
                    [own, caller].allSatisfy {
                        // Before its exec it may have capabilities still.
                        let name = try? Syscalls.contents(of: "/proc/\($0.pid)/comm")
                        return name == Array("sleep\n".utf8)
                            && (try? Syscalls.status(of: "/proc/\($0.pid)").uid) == 54321
                    }
                })
            var user = client
            user.caller = Caller(pid: caller.id, uid: 54321, gid: 0)
            #expect(try user.refusal("signals/go/notify", "\(own.pid) URG") == nil)
            #expect(try user.refusal("signals/go/notify", "\(getpid()) URG") == .notPermitted)
            // Who removes needs no right that who adds would not need.
            #expect(try client.read("signals/go/notify") == "\(own.pid) SIGURG\n")
        }
    }
}
