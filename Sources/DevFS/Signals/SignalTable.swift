import Glibc
import Synchronization
import SystemPackage

/// All signals of a mount, their timers and their notifications.
final class SignalTable: Sendable {
    private struct Registration {
        var notification: Notification
        var watch: EventLoop.Watch
        var charge: Quotas.Charge
    }

    private struct Entry: NamedEntry {
        var signal: Signal
        var timer: PeriodicTimer?
        var watch: EventLoop.Watch?
        var registrations: [Registration] = []
        /// Of who made it.
        var charge: Quotas.Charge?

        var id: SignalID { signal.id }
        var name: Name { signal.name }
    }

    private struct State {
        var entries = NamedTable<Entry>()
        var next: UInt64 = 1
        var changed = Timestamp.now()
    }

    let loop: EventLoop
    /// What makes the events; nil where this table does. See SignalTable+Device.swift.
    let device: (any EventDevice)?
    /// Held while the device's sources are made, removed and looked for.
    let changes = Mutex(())
    /// Held while events are taken off the device, so that they are taken in order.
    let turn = Mutex(())
    let sources = Mutex<[SourceID: Signal]>([:])
    let watch = Mutex<EventLoop.Watch?>(nil)
    /// Called once, when the device was removed.
    let gone = Mutex<(@Sendable () -> Void)?>(nil)
    /// Called when an interrupt came too fast and was masked.
    let stormy = Callback<Signal>()
    let wakeUps = WakeUps()
    /// Whose the signals are that nobody has made.
    let owner: UInt32
    private let quotas: Quotas
    /// Where the signals outlive the server.
    private let ledger: LedgerSignals?
    private let state = Mutex(State())

    init(
        _ loop: EventLoop, device: (any EventDevice)? = nil, owner: UInt32 = geteuid(),
        quotas: Quotas = Quotas(), ledger: LedgerSignals? = nil
    ) {
        self.ledger = ledger
        self.loop = loop
        self.device = device
        self.owner = owner
        self.quotas = quotas
    }

    subscript(id: SignalID) -> Signal? { state.withLock { $0.entries[id]?.signal } }
    subscript(name: Name) -> Signal? { state.withLock { $0.entries[name]?.signal } }
    var all: [Signal] { state.withLock { $0.entries.all.map(\.signal) } }
    var count: Int { state.withLock { $0.entries.count } }
    var changed: Timestamp { state.withLock { $0.changed } }

    /// Whoever removes it is kept from it by streams of his own; those of others just end.
    func remove(_ signal: Signal, by uid: UInt32) throws(Refusal) {
        guard signal.streams(of: uid) == 0 else {
            throw Refusal(.resourceBusy, "a stream uses \(signal.name)")
        }
        if let origin = signal.origin { return try remove(signal, from: origin) }
        drop(signal)
    }

    /// - Parameters:
    ///   - owner: whose it is.
    ///   - payer: whose quota it counts in.
    func create(
        _ name: Name, _ source: SignalSource, owner: UInt32, payer: UInt32
    ) throws(Refusal) {
        let charge = try quotas.charge(.signals, to: payer)
        if let device, device.makesSources {
            try make(name, source, on: device, by: owner)
            if let signal = self[name] { keep(charge, for: signal) }
            return
        }
        var timer: PeriodicTimer?
        if case .timer = source {
            do throws(Errno) {
                timer = try PeriodicTimer()
            } catch {
                throw Refusal(error, "no timer can be made: timerfd_create failed")
            }
        }
        let kept = try record(name, source, owner: owner, payer: payer)
        let made = insert(name, timer) {
            Signal($0, name, source, owner: owner, wakeUps: wakeUps, kept: kept)
        }
        guard let signal = made else {
            if let kept { ledger?.give(kept) }
            throw Refusal(.fileExists, "\(name) is there already")
        }
        keep(charge, for: signal)
        guard let timer else {
            kept?.begin(signal.id.number)
            return
        }
        do throws(Errno) {
            try watch(timer, of: signal)
            try enable(signal, true)
            kept?.begin(signal.id.number)
        } catch {
            drop(signal)
            throw Refusal(error, "the timer can't be started")
        }
    }

    /// Nil where it ends with the server.
    private func record(
        _ name: Name, _ source: SignalSource, owner: UInt32, payer: UInt32
    ) throws(Refusal) -> KeptSignal? {
        guard let ledger else { return nil }
        var period: UInt64?
        if case .timer(let time) = source { period = time }
        guard let kept = ledger.make(name, period: period, owner: owner, payer: payer) else {
            throw Refusal(.noSpace, "the mount has as many signals as its keeper has room for")
        }
        return kept
    }

    private func watch(_ timer: PeriodicTimer, of signal: Signal) throws(Errno) {
        guard case .timer(let period) = signal.source else { return }
        let watch = try loop.watch(timer.raw) {
            let expirations = timer.take()
            guard expirations > 0 else { return }
            signal.post(
                1, missed: expirations - 1, later: expirations.multipliedClamped(by: period))
        }
        state.withLock { $0.entries[signal.id]?.watch = watch }
    }

    /// Goes on with the signals of the server before this one.
    func adopt() {
        guard let ledger else { return }
        for kept in ledger.all {
            guard let name = kept.name else { continue }
            let source = kept.period.map { SignalSource.timer(period: $0) } ?? .software
            let timer = kept.period.flatMap { _ in try? PeriodicTimer() }
            let signal = Signal(
                SignalID(number: kept.id), name, source, owner: kept.owner, wakeUps: wakeUps,
                kept: kept)
            state.withLock { state in
                state.entries.insert(
                    Entry(
                        signal: signal, timer: timer,
                        charge: quotas.tryCharge(.signals, to: kept.payer)))
            }
        }
    }

    /// Their timers and notifications go on, when all who are to be told of events are there.
    func resume() {
        for signal in all {
            guard let kept = signal.kept else { continue }
            resume(signal, state.withLock { $0.entries[signal.id]?.timer }, kept)
        }
    }

    private func resume(_ signal: Signal, _ timer: PeriodicTimer?, _ kept: KeptSignal) {
        for registration in kept.registrations {
            // One that ended meanwhile has ended its registration.
            guard (try? ProcessHandle.startTime(of: registration.process)) == registration.start,
                let charge = quotas.tryCharge(.notifications, to: registration.registrant)
            else { continue }
            try? register(
                registration.process, on: signal, signal: registration.signal,
                value: registration.value, by: registration.registrant, charge)
        }
        guard let timer, let period = kept.period else { return }
        do throws(Errno) {
            try watch(timer, of: signal)
            // What has ended meanwhile counts, as where the server is late.
            if signal.isEnabled { try timer.set(first: signal.due, period: period) }
        } catch {
            signal.setEnabled(false)
        }
    }

    /// Tells the next server whom a signal notifies.
    private func keepRegistrations(of signal: Signal) {
        guard let kept = signal.kept else { return }
        kept.set(
            notifications(of: signal).map {
                KeptSignal.Registration(
                    process: $0.process.id,
                    start: (try? ProcessHandle.startTime(of: $0.process.id)) ?? 0,
                    signal: $0.signal, value: $0.value, registrant: $0.registrant)
            })
    }

    private func keep(_ charge: Quotas.Charge, for signal: Signal) {
        state.withLock { $0.entries[signal.id]?.charge = charge }
    }

    /// Nil where the name is taken.
    func insert(
        _ name: Name, _ timer: PeriodicTimer? = nil, _ make: (SignalID) -> Signal
    ) -> Signal? {
        state.withLock { state in
            guard state.entries[name] == nil else { return nil }
            let signal = make(SignalID(number: ledger?.number() ?? state.next))
            state.next += 1
            state.entries.insert(Entry(signal: signal, timer: timer))
            state.changed = .now()
            return signal
        }
    }

    /// Takes a signal out of the table, and ends it: its readers are told.
    func drop(_ signal: Signal) {
        takeOut(signal)
        signal.end()
    }

    /// Takes a signal out of the table, with its timer and its notifications.
    func takeOut(_ signal: Signal) {
        let entry = state.withLock { state in
            state.changed = .now()
            return state.entries.remove(signal.id)
        }
        guard let entry else { return }
        if let watch = entry.watch, let timer = entry.timer { loop.stop(watch, timer.raw) }
        for registration in entry.registrations { forget(registration) }
        if let kept = signal.kept { ledger?.give(kept) }
    }

    /// Masks or unmasks a source.
    func enable(_ signal: Signal, _ isEnabled: Bool) throws(Errno) {
        if let origin = signal.origin {
            return try origin.device.setEnabled(isEnabled, origin.id)
        }
        guard case .timer(let period) = signal.source,
            let timer = state.withLock({ $0.entries[signal.id]?.timer })
        else { return signal.setEnabled(isEnabled) }
        let due = Clock.monotonic.addingClamped(period)
        signal.setEnabled(isEnabled, due: due)
        if isEnabled && signal.kept != nil { return try timer.set(first: due, period: period) }
        try timer.set(period: isEnabled ? period : 0)
    }

    // MARK: Notifications

    func notifications(of signal: Signal) -> [Notification] {
        state.withLock { $0.entries[signal.id]?.registrations.map(\.notification) ?? [] }
    }

    func carryOut(
        _ request: NotifyRequest, on signal: Signal, by opener: Opener
    ) throws(Refusal) {
        switch request {
        case .remove(let pid):
            let process = try process(pid, for: opener)
            let all = notifications(of: signal).filter { $0.process.id == process }
            guard let first = all.first else {
                throw Refusal(.noSuchProcess, "process \(pid) is not registered")
            }
            guard opener.uid == 0 || all.allSatisfy({ $0.registrant == opener.uid }) else {
                throw Refusal(.notPermitted, "uid \(first.registrant) registered process \(pid)")
            }
            drop(from: signal) { $0.process.id == process }
        case .register(let pid, let number, let value):
            let charge = try quotas.charge(.notifications, to: opener.uid)
            let target = try process(pid, for: opener)
            try register(
                target, on: signal, signal: number, value: value, by: opener.uid, charge, as: pid)
        }
    }

    /// - Parameter pid: the number by which who registers the process knows it.
    private func register(
        _ target: ProcessID, on signal: Signal, signal number: Int32, value: Int32?,
        by registrant: UInt32, _ charge: Quotas.Charge, as pid: Int32 = 0
    ) throws(Refusal) {
        let notification: Notification
        let watch: EventLoop.Watch
        do throws(Errno) {
            notification = try Notification(target, signal: number, value: value, by: registrant) {
                signal.addMissed($0)
            }
            // A registration ends with its process.
            let process = notification.process
            watch = try loop.watch(process.raw) { [weak self] in
                self?.drop(from: signal) { $0.process === process }
            }
        } catch .noSuchProcess {
            throw Refusal(.noSuchProcess, "no process \(pid)")
        } catch .notPermitted {
            throw Refusal(.notPermitted, "process \(pid) is another user's than \(registrant)")
        } catch {
            throw Refusal(error, "process \(pid) can't be watched")
        }
        guard signal.add(notification) else {
            loop.stop(watch, notification.process.raw)
            throw Refusal(.noDevice, "the signal is gone")
        }
        let fresh = Registration(notification: notification, watch: watch, charge: charge)
        let old = notifications(of: signal).first {
            $0.process.id == target && $0.signal == number && $0.registrant != registrant
        }
        guard old == nil || registrant == 0 else {
            signal.remove(notification)
            forget(fresh)
            throw Refusal(.notPermitted, "another user has registered process \(pid) for that")
        }
        replace(in: signal, { $0.process.id == target && $0.signal == number }, by: fresh)
    }

    /// A number that a client writes is that of his own pid namespace.
    private func process(_ number: Int32, for opener: Opener) throws(Refusal) -> ProcessID {
        do throws(Errno) {
            guard let process = opener.process else { throw .noSuchProcess }
            return try process.namespace.process(number)
        } catch {
            throw Refusal(
                error, "process \(number) is not to be seen, or it can't be told which one that is")
        }
    }

    private func forget(_ registration: Registration) {
        loop.stop(registration.watch, registration.notification.process.raw)
    }

    private func drop(from signal: Signal, where matches: (Notification) -> Bool) {
        replace(in: signal, matches, by: nil)
    }

    /// Takes registrations away and puts a new one in their place, in one step.
    private func replace(
        in signal: Signal, _ matches: (Notification) -> Bool, by fresh: Registration?
    ) {
        let dropped: [Registration] = state.withLock { state in
            guard let all = state.entries[signal.id]?.registrations else {
                // The signal went meanwhile, and this with it.
                return fresh.map { [$0] } ?? []
            }
            state.entries[signal.id]?.registrations =
                all.filter { !matches($0.notification) } + (fresh.map { [$0] } ?? [])
            return all.filter { matches($0.notification) }
        }
        keepRegistrations(of: signal)
        for registration in dropped {
            forget(registration)
            signal.remove(registration.notification)
        }
    }

    func removeAll() {
        if let device { leave(device) }
        for signal in all { drop(signal) }
    }
}
