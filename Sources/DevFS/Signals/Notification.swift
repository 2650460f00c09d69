import CFuse
import Synchronization
import SystemPackage

/// A process that gets a POSIX signal for each event, as `sigqueue(3)` sends it.
///
/// The right to send is checked again at each event, as the kernel does for F_SETOWN
/// (`sigio_perm` in fs/fcntl.c): the process may have changed its user since.
final class Notification: SignalListener {
    let process: ProcessHandle
    let signal: Int32
    /// `si_value`; nil is the event's number.
    let value: Int32?
    let registrant: UInt32
    /// The registrant had CAP_KILL.
    private let isPrivileged: Bool
    /// Events whose signal could not be queued.
    private let missed: @Sendable (UInt64) -> Void

    /// - Throws: ESRCH no such process; EPERM another user's.
    init(
        _ request: (pid: Int32, signal: Int32, value: Int32?), by caller: Caller,
        missed: @escaping @Sendable (UInt64) -> Void
    ) throws(Errno) {
        process = try ProcessHandle(ProcessID(request.pid))
        signal = request.signal
        value = request.value
        registrant = caller.uid
        self.missed = missed
        isPrivileged = ProcessHandle.has(capability: Capability.kill, caller.pid)
        guard isPermitted() else { throw .notPermitted }
    }

    private func isPermitted() -> Bool {
        isPrivileged || (try? process.uid()) == registrant
    }

    func happened(_ numbers: ClosedRange<UInt64>, at time: UInt64) {
        guard isPermitted() else {
            missed(UInt64(numbers.count))
            return
        }
        // A signal below SIGRTMIN that is pending already is not queued again: the newest will do.
        // Of the others no more are sent at a time than a signal keeps events.
        let queued = signal < SignalNumber.realTime.lowerBound ? 1 : Int(Signal.depth)
        let sent = numbers.suffix(queued)
        if signal >= SignalNumber.realTime.lowerBound { missed(UInt64(numbers.count - sent.count)) }
        for number in sent {
            do throws(Errno) {
                try process.send(
                    signal: signal, value: value ?? Int32(truncatingIfNeeded: number))
            } catch {
                // A full queue stays full until the process runs; one that ended is dropped soon.
                missed(numbers.upperBound - number + 1)
                return
            }
        }
    }

    func ended() {}

    /// A line of `notify`.
    var text: String {
        let target = "\(process.id.number) \(SignalNumber.name(signal))"
        return value.map { "\(target) \($0)" } ?? target
    }
}

/// Counts a signal's events in an eventfd that another process holds.
final class EventCounterListener: SignalListener {
    private let counter: EventCounter

    init(_ counter: EventCounter) {
        self.counter = counter
    }

    func happened(_ numbers: ClosedRange<UInt64>, at time: UInt64) {
        counter.signal(UInt64(numbers.count))
    }

    func ended() {}
}
