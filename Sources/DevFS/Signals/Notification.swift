import CFuse
import SystemPackage

/// A process that gets a POSIX signal for each event, as `sigqueue(3)` sends it.
///
/// Root may send to any process, others to those that are theirs alone: by their real, effective and
/// saved uid. That is checked again at each event, as the kernel does for F_SETOWN (`sigio_perm` in
/// fs/fcntl.c, which has the first and the last): the process may have changed its user since. No capability of the registrant counts: it could only be asked for when he may
/// have become another program.
final class Notification: SignalListener {
    let process: ProcessHandle
    let signal: Int32
    /// `si_value`; nil is the event's number.
    let value: Int32?
    let registrant: UInt32
    /// Events whose signal could not be queued.
    private let missed: @Sendable (UInt64) -> Void

    /// - Parameter process: as this server numbers it.
    /// - Throws: ESRCH no such process; EPERM another user's.
    init(
        _ process: ProcessID, signal: Int32, value: Int32?, by registrant: UInt32,
        missed: @escaping @Sendable (UInt64) -> Void
    ) throws(Errno) {
        self.process = try ProcessHandle(process)
        self.signal = signal
        self.value = value
        self.registrant = registrant
        self.missed = missed
        guard isPermitted() else { throw .notPermitted }
    }

    private func isPermitted() -> Bool {
        registrant == 0 || process.isOwn(of: registrant)
    }

    /// Signals that one batch of events queues at the most: who makes a million events with one
    /// write does not make the server send as many.
    static let burst: UInt64 = 64

    func happened(_ numbers: ClosedRange<UInt64>, at time: UInt64) {
        guard isPermitted() else {
            missed(numbers.length)
            return
        }
        // A signal below SIGRTMIN that is pending already is not queued again: the newest will do.
        let queued: UInt64 = signal < SignalNumber.realTime.lowerBound ? 1 : Self.burst
        let sent = numbers.newest(queued)
        if signal >= SignalNumber.realTime.lowerBound { missed(numbers.length - sent.length) }
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
