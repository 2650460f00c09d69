import SystemPackage

/// Signals whose events a device makes: the table follows what the device has, and takes its
/// events in the order of their numbers.
///
/// Lock order: `changes`, `turn`, `sources`, the table's own. The first two are held over the device's
/// calls, which do not wait; listeners are told without any.
extension SignalTable {
    /// Events that listeners are to be told of.
    private struct News {
        var audience: Signal.Audience
        var numbers: ClosedRange<UInt64>
        var time: UInt64
    }

    /// Adopts what the device has, and is told of its events from here on.
    func follow(_ device: any EventDevice) throws(Errno) {
        for status in try device.sources() { adopt(status) }
        let started = try loop.watch(device.eventDescriptor) { [weak self] in self?.catchUp() }
        watch.withLock { $0 = started }
    }

    /// - Parameter owner: who made it; nil is the mount's owner.
    private func adopt(_ status: SourceStatus, owner: UInt32? = nil) {
        guard let device else { return }
        let signal = insert(status.name) {
            Signal(
                $0, status.name, status.source, owner: owner ?? self.owner,
                origin: Signal.Origin(device: device, id: status.id),
                count: status.count, wakeUps: wakeUps)
        }
        guard let signal else { return }
        sources.withLock { $0[status.id] = signal }
    }

    /// The signal of a name, which others may just have made.
    func find(_ name: Name) -> Signal? {
        if let signal = self[name] { return signal }
        rescan()
        return self[name]
    }

    /// Looks what the device has: sources come and go by others who have the device open.
    func rescan() {
        guard let device else { return }
        var ended: [Signal] = []
        var found: [SourceStatus] = []
        changes.withLock { _ in
            // Looked at before the device is, as events are taken meanwhile.
            let known = sources.withLock { $0 }.mapValues { (signal: $0, count: $0.count) }
            guard let all = try? device.sources() else { return }
            found = all
            let byID = Dictionary(uniqueKeysWithValues: all.map { ($0.id, $0) })
            for (id, (signal, count)) in known {
                // Another one has the number now where it has fewer events.
                if let now = byID[id], now.name == signal.name, now.source == signal.source,
                    now.count >= count
                {
                    continue
                }
                ended += forget(id)
            }
            for status in all where sources.withLock({ $0[status.id] == nil }) { adopt(status) }
        }
        for signal in ended { signal.end() }
        report(found)
    }

    /// Says once of each storm that there is one.
    private func report(_ found: [SourceStatus]) {
        for status in found {
            guard let signal = sources.withLock({ $0[status.id] }),
                signal.note(isStorm: status.isStorm)
            else { continue }
            stormy.call(signal)
        }
    }

    /// Takes the signal of a source out of the tables: it is to be ended, without a lock.
    private func forget(_ id: SourceID) -> [Signal] {
        guard let signal = sources.withLock({ $0.removeValue(forKey: id) }) else { return [] }
        takeOut(signal)
        return [signal]
    }

    /// - Parameter source: made by the device, and enabled once its signal is there.
    func make(
        _ name: Name, _ source: SignalSource, on device: any EventDevice, by owner: UInt32
    ) throws(Refusal) {
        var ended: [Signal] = []
        defer { for signal in ended { signal.end() } }
        try changes.withLock { (_) throws(Refusal) in
            let status = try device.makeSource(name, source)
            adopt(status, owner: owner)
            device.mark(name, asMount: true)
            do throws(Errno) {
                try device.setEnabled(true, status.id)
            } catch {
                try? device.removeSource(status.id)
                device.mark(name, asMount: false)
                ended = forget(status.id)
                throw Refusal(error, "the source can't be started")
            }
        }
    }

    func remove(_ signal: Signal, from origin: Signal.Origin) throws(Refusal) {
        if signal.source == .interrupt {
            throw Refusal(.notPermitted, "\(signal.name) is an interrupt of the device")
        }
        let news = try changes.withLock { (_) throws(Refusal) in
            do throws(Errno) {
                try origin.device.removeSource(origin.id)
            } catch .noSuchFileOrDirectory {
                // Somebody else was first.
            } catch {
                throw Refusal(error, "the device does not let go of \(signal.name)")
            }
            // Its last events, before the number is another source's.
            let news = drain(origin.device).news
            origin.device.mark(signal.name, asMount: false)
            _ = forget(origin.id)
            return news
        }
        tell(news)
        signal.end()
    }

    /// Makes events of a software source, and takes them, so that who triggers finds them there.
    func trigger(_ signal: Signal, _ events: UInt64) throws(Refusal) {
        guard signal.source == .software else {
            throw Refusal(.notSupported, "\(signal.name) is not a software signal")
        }
        let isDisabled = Refusal(.resourceTemporarilyUnavailable, "\(signal.name) is disabled")
        guard let origin = signal.origin else {
            guard signal.post(events) else { throw isDisabled }
            return
        }
        do throws(Errno) {
            var left = events
            while left > 0 {
                guard try origin.device.status(of: origin.id).isEnabled else {
                    throw isDisabled.errno
                }
                // Fewer than the device keeps.
                let part = min(left, Signal.depth / 2)
                for _ in 0..<part { try origin.device.trigger(origin.id) }
                catchUp()
                left -= part
            }
        } catch .resourceTemporarilyUnavailable {
            throw isDisabled
        } catch {
            throw Refusal(error, "the device makes no event of \(signal.name)")
        }
    }

    // MARK: Events

    /// Takes all events that the device has, and tells who listens.
    func catchUp() {
        guard let device else { return }
        let result = drain(device)
        tell(result.news)
        for signal in result.storms { stormy.call(signal) }
        if result.hasUnknown { rescan() }
        if result.isGone { end() }
    }

    private func tell(_ news: [News]) {
        for each in news {
            wakeUps.tell(each.audience, each.numbers, at: each.time)
        }
    }

    /// Batches that are taken in a row: an endless one must not keep others waiting.
    private static let patience = 32

    private struct Drained {
        var news: [News] = []
        /// Those that were masked just now.
        var storms: [Signal] = []
        /// Events came of a source that is not in the table.
        var hasUnknown = false
        var isGone = false
    }

    private func drain(_ device: any EventDevice) -> Drained {
        var result = Drained()
        turn.withLock { _ in
            for _ in 0..<Self.patience {
                let events: [SourceEvent]
                do throws(Errno) {
                    events = try device.takeEvents()
                } catch {
                    result.isGone = error == .noDevice
                    return
                }
                let known = sources.withLock { $0 }
                for event in events {
                    guard let signal = known[event.id] else {
                        result.hasUnknown = true
                        continue
                    }
                    if signal.note(isStorm: event.isStorm) { result.storms.append(signal) }
                    if let news = Self.take(event, signal, device) { result.news.append(news) }
                }
                if events.count < device.batch { return }
            }
        }
        return result
    }

    private static func take(
        _ event: SourceEvent, _ signal: Signal, _ device: any EventDevice
    ) -> News? {
        var before: [UInt64] = []
        let seen = signal.count
        // The device dropped some before they were taken; it still has the times of the newest.
        if event.count > seen + 1,
            let (first, times) = try? device.times(of: event.id, from: seen + 1),
            first < event.count
        {
            before = Array(times.prefix(Int(clamping: event.count - first)))
        }
        guard
            let (numbers, audience) = signal.take(event.count, at: event.time, before: before)
        else { return nil }
        return News(audience: audience, numbers: numbers, time: event.time)
    }

    /// The device is gone: its signals stay, and are ENODEV.
    private func end() {
        guard let device, let started = watch.withLock({ $0.take() }) else { return }
        loop.stop(started, device.eventDescriptor)
        for signal in all { device.mark(signal.name, asMount: false) }
        gone.withLock { $0.take() }?()
        for signal in all { signal.end() }
    }

    /// Leaves the device: what mounts made there goes, the rest stays. One that is gone was left before.
    func leave(_ device: any EventDevice) {
        guard let started = watch.withLock({ $0.take() }) else { return }
        loop.stop(started, device.eventDescriptor)
        for signal in all {
            guard let origin = signal.origin, device.isOfMount(signal.name) else { continue }
            try? device.removeSource(origin.id)
            device.mark(signal.name, asMount: false)
        }
        sources.withLock { $0.removeAll() }
    }
}
