import Glibc
import SystemPackage

/// A signal of the device: software, a timer or an interrupt.
public struct Signal: Sendable {
    public let device: Device
    public let name: String

    /// Events so far.
    ///
    /// - Throws: ``DevFSError`` with the errno of the file.
    public var count: UInt64 {
        get throws(DevFSError) { UInt64(try device.text("signals/\(name)/count")) ?? 0 }
    }

    /// Makes events of a software signal.
    ///
    /// - Parameter events: 1 to 1,000,000.
    /// - Throws: ``DevFSError``: EOPNOTSUPP of another source; EAGAIN while it is disabled; EINVAL.
    public func trigger(_ events: Int = 1) throws(DevFSError) {
        try device.write("\(events)", to: "signals/\(name)/trigger", for: "triggering \(name)")
    }

    /// Lets the source make events, or not; an interrupt is masked.
    ///
    /// - Throws: ``DevFSError`` with the errno of the file.
    public func enable(_ isEnabled: Bool) throws(DevFSError) {
        try device.write(
            isEnabled ? "1" : "0", to: "signals/\(name)/enable", for: "enabling \(name)")
    }

    /// The events from now on, without end.
    ///
    /// The position is taken here: an event between this call and the first wait is not missed. Each
    /// sequence is for one reader.
    ///
    /// ```swift
    /// for try await event in try signal.events() { print(event.seq, event.ns) }
    /// ```
    ///
    /// - Throws: ``DevFSError`` with the errno of opening `wait`. The sequence throws one of the kind
    ///   `removed` when the signal is removed, and `CancellationError`.
    public func events() throws(DevFSError) -> SignalEvents {
        SignalEvents(try Waiter(device, "signals/\(name)/wait", "waiting for \(name)"))
    }
}

/// The events of a ``Signal``.
public struct SignalEvents: AsyncSequence, Sendable {
    public typealias Element = SignalEvent
    private let waiter: Waiter

    fileprivate init(_ waiter: Waiter) { self.waiter = waiter }

    public func makeAsyncIterator() -> Iterator { Iterator(waiter: waiter) }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let waiter: Waiter

        public mutating func next() async throws -> SignalEvent? {
            var line = [UInt8](repeating: 0, count: 256)
            let count = try await waiter.read(into: &line)
            let text = String(decoding: line[..<count].prefix { $0 != 10 }, as: UTF8.self)
            guard let event = SignalEvent(text) else { throw waiter.failure(.ioError) }
            return event
        }
    }
}

/// A file of the tree that is read when there is something to read.
final class Waiter: Sendable {
    private let device: Device
    private let operation: String
    private let file: Descriptor

    init(_ device: Device, _ path: String, _ operation: String) throws(DevFSError) {
        self.device = device
        self.operation = operation
        file = try device.doing(operation) { () throws(Errno) in
            try Calls.open(device.path(path), flags: O_RDONLY | O_NONBLOCK)
        }
    }

    func failure(_ errno: Errno) -> DevFSError {
        switch errno {
        case .operationNotSupportedByDevice:
            DevFSError(operation, errno, reason: "it was removed", kind: .removed)
        case .brokenPipe:
            DevFSError(operation, errno, reason: "an overrun stopped it", kind: .overrun)
        default: device.failure(operation, errno)
        }
    }

    /// Bytes that were read, at least 1; 0 at the end.
    func read(into room: inout [UInt8]) async throws -> Int {
        while true {
            try Task.checkCancellation()
            if let count = try readNow(into: &room) { return count }
            do {
                try await Readiness.wait(for: file.raw)
            } catch let errno as Errno {
                throw failure(errno)
            }
        }
    }

    /// Nil where there is nothing yet.
    private func readNow(into room: inout [UInt8]) throws(DevFSError) -> Int? {
        var span = room.mutableSpan
        do throws(Errno) {
            return try unsafe span.withUnsafeMutableBytes { (room) throws(Errno) in
                unsafe try Calls.read(file.raw, into: room)
            }
        } catch .interrupted, .resourceTemporarilyUnavailable {
            return nil
        } catch {
            throw failure(error)
        }
    }
}

extension Device {
    /// A signal of the tree.
    ///
    /// - Throws: ``DevFSError``: `notFound`; `invalid` for a bad name.
    public func signal(_ name: String) throws(DevFSError) -> Signal {
        let signal = Signal(device: self, name: try self.name(name, of: "signal"))
        _ = try signal.count
        return signal
    }

    /// Makes a signal that programs trigger.
    ///
    /// - Throws: ``DevFSError``: EEXIST where the name is taken, other errnos of `control/signal`.
    public func makeSignal(_ name: String) throws(DevFSError) -> Signal {
        let name = try self.name(name, of: "signal")
        try self.write("\(name) software", to: "control/signal", for: "making the signal \(name)")
        return Signal(device: self, name: name)
    }

    /// Makes a signal that a timer triggers.
    ///
    /// - Parameter period: between two events; whole nanoseconds.
    /// - Throws: as ``makeSignal(_:)``; EINVAL for a period that is too short.
    public func makeSignal(_ name: String, every period: Duration) throws(DevFSError) -> Signal {
        let name = try self.name(name, of: "signal")
        let ns = UInt64(clamping: period.components.seconds).multipliedReportingOverflow(
            by: 1_000_000_000)
        let part = UInt64(clamping: period.components.attoseconds / 1_000_000_000)
        let (sum, overflow) = ns.partialValue.addingReportingOverflow(part)
        guard !ns.overflow, !overflow else {
            throw DevFSError(.invalid, "making the signal \(name)", "a period of \(period)")
        }
        try self.write(
            "\(name) timer period=\(sum)ns", to: "control/signal", for: "making the signal \(name)")
        return Signal(device: self, name: name)
    }

    /// Removes a signal; who waits for it is woken.
    ///
    /// - Throws: ``DevFSError``: `notFound`; EBUSY while a stream counts its events; EPERM.
    public func removeSignal(_ name: String) throws(DevFSError) {
        let name = try self.name(name, of: "signal")
        try self.write("\(name) remove", to: "control/signal", for: "removing the signal \(name)")
    }
}
