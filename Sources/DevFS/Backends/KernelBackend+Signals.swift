import CFuse
import Glibc
import SystemPackage

/// The module's own sources: DEVFS_DMA_IOC_SIGNAL_CTL, and the records that the node reads as.
extension KernelBackend: EventDevice {
    var eventDescriptor: CInt { node.raw }

    var batch: Int { 64 }

    func takeEvents() throws(Errno) -> [SourceEvent] {
        do throws(Errno) {
            return try ModuleCalls.events(node.raw, atMost: batch).map {
                SourceEvent(
                    id: SourceID(number: $0.source), count: $0.count, time: $0.timestamp_ns,
                    isStorm: $0.flags & UInt32(DEVFS_DMA_EVENT_STORM) != 0)
            }
        } catch .wouldBlock {
            return []
        }
    }

    func sources() throws(Errno) -> [SourceStatus] {
        var found: [SourceStatus] = []
        var next: UInt32 = 0
        while next < UInt32(DEVFS_DMA_MAX_SOURCES) {
            var request = devfs_dma_signal()
            request.op = UInt32(DEVFS_DMA_SIGNAL_NEXT)
            request.source = next
            do throws(Errno) {
                try ModuleCalls.signal(node.raw, &request)
            } catch .noSuchFileOrDirectory {
                break
            }
            if let status = Self.status(request) { found.append(status) }
            next = request.source + 1
        }
        return found
    }

    func status(of source: SourceID) throws(Errno) -> SourceStatus {
        let answer = try signal(DEVFS_DMA_SIGNAL_GET, source)
        guard let status = Self.status(answer) else { throw .noDevice }
        return status
    }

    private func signal(
        _ op: CInt, _ source: SourceID, flags: UInt32 = 0
    ) throws(Errno) -> devfs_dma_signal {
        var request = devfs_dma_signal()
        request.op = UInt32(op)
        request.source = source.number
        request.flags = flags
        try ModuleCalls.signal(node.raw, &request)
        return request
    }

    /// Nil for a kind that a later module may have.
    private static func status(_ info: devfs_dma_signal) -> SourceStatus? {
        let source: SignalSource
        switch CInt(info.kind) {
        case DEVFS_DMA_SIGNAL_SOFTWARE: source = .software
        case DEVFS_DMA_SIGNAL_TIMER: source = .timer(period: info.period_ns)
        case DEVFS_DMA_SIGNAL_INTERRUPT: source = .interrupt
        default: return nil
        }
        guard let name = name(info.name) else { return nil }
        return SourceStatus(
            id: SourceID(number: info.source), name: name, source: source,
            isEnabled: info.flags & UInt32(DEVFS_DMA_SIGNAL_ENABLED) != 0,
            isStorm: info.flags & UInt32(DEVFS_DMA_SIGNAL_STORM) != 0,
            count: info.count, missed: info.missed, mishap: mishap(info.told))
    }

    private static func mishap(_ told: UInt32) -> Mishap? {
        if told & DEVFS_DMA_EVENT_RESET != 0 { return .reset }
        if told & DEVFS_DMA_EVENT_AER != 0 { return .error }
        return told & DEVFS_DMA_EVENT_POWER != 0 ? .powerLoss : nil
    }

    func makeSource(_ name: Name, _ source: SignalSource) throws(Refusal) -> SourceStatus {
        var request = devfs_dma_signal()
        request.op = UInt32(DEVFS_DMA_SIGNAL_CREATE)
        Self.put(name, &request.name)
        switch source {
        case .software: request.kind = UInt32(DEVFS_DMA_SIGNAL_SOFTWARE)
        case .timer(let period):
            guard (DEVFS_DMA_PERIOD_MIN...DEVFS_DMA_PERIOD_MAX).contains(period) else {
                throw .invalid("a timer of the module has a period of 10us or more")
            }
            request.kind = UInt32(DEVFS_DMA_SIGNAL_TIMER)
            request.period_ns = period
        case .interrupt: throw .invalid("binding the device makes its interrupts")
        }
        do throws(Errno) {
            try ModuleCalls.signal(node.raw, &request)
        } catch .fileExists {
            throw Refusal(.fileExists, "\(name) is there already")
        } catch .noSpace {
            throw Refusal(
                .noSpace, "a device of the module has \(DEVFS_DMA_MAX_SOURCES) signals at most")
        } catch .diskQuotaExceeded {
            throw Refusal(.diskQuotaExceeded, "the server's user has the module's user_signals")
        } catch .notPermitted {
            throw Refusal(
                .notPermitted, "less than the module's user_period_us takes a server of root's")
        } catch {
            throw Refusal(error, "the module makes no such source")
        }
        return SourceStatus(
            id: SourceID(number: request.source), name: name, source: source, isEnabled: false,
            count: 0, missed: 0)
    }

    func removeSource(_ source: SourceID) throws(Errno) {
        _ = try signal(DEVFS_DMA_SIGNAL_REMOVE, source)
    }

    func setEnabled(_ isEnabled: Bool, _ source: SourceID) throws(Errno) {
        // SET takes all flags at once; the others stay as they are.
        let now = try signal(DEVFS_DMA_SIGNAL_GET, source).flags
        let kept = now & UInt32(DEVFS_DMA_SIGNAL_UEVENT)
        let flag = isEnabled ? UInt32(DEVFS_DMA_SIGNAL_ENABLED) : 0
        _ = try signal(DEVFS_DMA_SIGNAL_SET, source, flags: kept | flag)
    }

    func trigger(_ source: SourceID) throws(Errno) {
        _ = try signal(DEVFS_DMA_SIGNAL_TRIGGER, source)
    }

    func times(
        of source: SourceID, from first: UInt64
    ) throws(Errno) -> (first: UInt64, times: [UInt64]) {
        try ModuleCalls.history(node.raw, of: source.number, from: first)
    }

    // MARK: Whose they are

    private func markPath(_ name: Name) -> String { "\(runtimeDirectory)/signal.\(name)" }

    func mark(_ name: Name, asMount isOfMount: Bool) {
        if isOfMount {
            _ = try? Syscalls.open(markPath(name), flags: O_WRONLY | O_CREAT, mode: 0o600)
        } else {
            try? Syscalls.unlink(markPath(name), at: Syscalls.currentDirectory)
        }
    }

    func isOfMount(_ name: Name) -> Bool {
        (try? Syscalls.status(of: markPath(name))) != nil
    }
}
