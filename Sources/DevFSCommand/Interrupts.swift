import DevFS
import Glibc
import Synchronization
import SystemPackage

/// The signal that asks the command to end; 0 before one came.
private let caughtSignal = Atomic<Int32>(0)
/// Where the handler writes, so that a poll wakes; -1 before the first `Interrupts`.
private let wakeDescriptor = Atomic<Int32>(-1)

/// Ctrl-C and SIGTERM as something to poll for, so that a command can say what it did until then.
///
/// The handler writes a byte to a pipe, which makes the signal visible to a poll(2) that starts
/// only afterwards: no signal is lost between a check and a wait.
struct Interrupts: ~Copyable {
    private let readEnd: FileDescriptor
    private let writeEnd: FileDescriptor

    /// Takes over SIGINT and SIGTERM for the rest of the process. System calls that wait return
    /// `EINTR`.
    init() throws {
        let pipe = try attempting("making a pipe") { try FileDescriptor.pipe() }
        try attempting("making a pipe") {
            for end in [pipe.readEnd, pipe.writeEnd] {
                try Syscalls.setCloseOnExec(end)
                try Syscalls.setNonBlocking(end)
            }
        }
        (readEnd, writeEnd) = (pipe.readEnd, pipe.writeEnd)
        wakeDescriptor.store(writeEnd.rawValue, ordering: .relaxed)
        caughtSignal.store(0, ordering: .relaxed)
        for signal in [SIGINT, SIGTERM] {
            Syscalls.handle(signal) { number in
                caughtSignal.store(number, ordering: .relaxed)
                Syscalls.ring(wakeDescriptor.load(ordering: .relaxed))
            }
        }
    }

    /// Ends the command where a signal asked for it.
    func check(_ what: @autoclosure () -> String) throws {
        switch caughtSignal.load(ordering: .relaxed) {
        case 0: return
        case SIGTERM: throw Failure(what(), "terminated", status: .terminated)
        default: throw Failure(what(), "interrupted", status: .interrupted)
        }
    }

    /// Waits until `descriptor` has one of `events`, a signal came, or the time is over.
    ///
    /// - Parameter timeout: milliseconds; negative is no limit.
    /// - Returns: what poll(2) reports of `descriptor`; 0 for a time-out or a signal.
    func poll(_ descriptor: FileDescriptor, _ events: Int32, timeout: Int32) throws -> Int32 {
        try Syscalls.poll(descriptor, events, or: readEnd, timeout: timeout)
    }

    /// Waits for a signal, or until the time is over.
    func wait(milliseconds: Int32) throws {
        _ = try attempting("waiting") {
            try Syscalls.poll(readEnd, POLLIN, timeout: milliseconds)
        }
    }

    /// Waits for a signal.
    func wait() throws {
        _ = try attempting("waiting for a signal") {
            try Syscalls.poll(readEnd, POLLIN, timeout: -1)
        }
    }

    deinit {
        wakeDescriptor.store(-1, ordering: .relaxed)
        try? readEnd.close()
        try? writeEnd.close()
    }
}
