import SystemPackage

/// What a reader that maps the ring is told of, and releases.
extension Stream {
    /// Bytes that lie ready in one piece.
    struct Run: Equatable {
        /// Of the first one, in bytes since the start of the stream.
        var position: UInt64
        /// The same in the buffer.
        var offset: UInt64
        /// Bytes, at least one.
        var length: UInt64
        /// Periods lost so far.
        var overruns: UInt64

        var end: UInt64 { position + length }
    }

    enum Ready: Equatable {
        case run(Run)
        case wait
        case end
        case failed(Errno)
    }

    /// What the reader gets who was told of everything before `told`.
    /// - Parameter holds: he has it from here on.
    func ready(after told: UInt64, holds: Bool) -> Ready {
        change { state in
            if state.isRemoved { return .failed(.noDevice) }
            let ring = state.ring
            // A position beyond all is one from before positions began anew.
            let told = told > ring.produced ? 0 : told
            let fresh = ring.produced - max(told, ring.consumed)
            let isOver = state.status == .stopped || state.status == .overrun
            if fresh == 0 {
                return switch state.status {
                case .stopped: .end
                case .overrun: .failed(.brokenPipe)
                default: .wait
                }
            }
            let run = ring.ready
            // What lies behind the end of the ring is ready once what is before it was released.
            guard run.upperBound > told else { return .wait }
            guard isOver || ring.isFull || fresh >= state.watermark else { return .wait }
            if holds { state.ring.hold() }
            return .run(
                Run(
                    position: run.lowerBound, offset: ring.readOffset,
                    length: run.upperBound - run.lowerBound, overruns: ring.overruns))
        }
    }

    /// What a write to `ready` says.
    enum Release {
        /// All before this position.
        case position(UInt64)
        /// So many bytes of what is held.
        case bytes(UInt64)

        /// `POSITION` or `+LENGTH`
        static func parse(_ line: Substring) throws(Refusal) -> Release {
            var words = try Words(line)
            let word = try words.next("the position")
            try words.end()
            if word.first == "+" {
                return .bytes(try Words.size(word.dropFirst(), "the length"))
            }
            return .position(try Words.size(word, "the position"))
        }
    }

    /// Gives bytes back to the device.
    /// - Throws: EPIPE where the device had overwritten some of what was held, which is released all
    ///   the same; EINVAL where nothing is held that ends there; ENODEV.
    func release(_ what: Release) throws(Refusal) {
        // Whatever the device did until now may have torn them.
        catchUp()
        let undertaking = Undertaking.current
        let (result, held): (Ring.Release, Range<UInt64>?) = change { state in
            if let undertaking, undertaking.isResent, undertaking.unique == state.release.request {
                return (state.release.wasTorn ? .torn : .whole, nil)
            }
            let held = state.ring.held
            let position: UInt64 =
                switch what {
                case .position(let position): position
                case .bytes(let count): (held?.lowerBound ?? 0).addingClamped(count)
                }
            let result = state.ring.release(to: position)
            if result != .unknown, let undertaking {
                state.release = (undertaking.unique, result == .torn)
            }
            return (result, held)
        }
        if isRemoved { throw Refusal(.noDevice, "the stream was removed") }
        wakeGenerator()
        // What lies behind the end of the ring may be ready now.
        wakeReader()
        switch result {
        case .whole: return
        case .unknown:
            throw .invalid(
                held.map { "what is held is from \($0.lowerBound) to \($0.upperBound)" }
                    ?? "nothing is held: read it first")
        case .torn:
            throw Refusal(
                .brokenPipe,
                "the device overwrote what was held\(held.map { " from \($0.lowerBound)" } ?? ""): "
                    + "the reader is too slow")
        }
    }
}
