import SystemPackage

/// Carries out the commands of `control/`, with the rights of who opened the file.
extension FileSystem {
    /// A line of `control/alloc`.
    func allocate(_ request: AllocationRequest, by opener: Opener) throws(Refusal) {
        let heap = request.heap ?? options.heap
        guard backend.heaps.contains(heap), heap.isAllocatable else {
            throw .invalid("this device has no \(heap.name) heap to allocate from")
        }
        let traits = BufferTraits(
            heap: heap, direction: request.direction, lease: request.lease
        ).owned(by: opener)
        if request.lease == .process && traits.ownerStart == 0 {
            throw Refusal(.noSuchProcess, "the process of the lease is not to be seen from here")
        }
        let buffer = try buffers.allocate(
            request.name, size: request.size, traits: traits,
            owner: ownership(of: opener.caller, mode: 0o666), payer: opener.uid, quotas: quotas)
        metrics.allocations.add()
        defer { namesChanged() }
        if request.lease == .process {
            do throws(Errno) {
                try leases.bind(buffer)
            } catch {
                try? buffers.remove(buffer)
                lentNames.takeBack()
                throw Refusal(error, "the process of the lease can't be watched")
            }
        }
    }

    /// `control/reset`. It waits for the device, which may take seconds.
    func reset() throws(Refusal) {
        guard let hardware else { throw Refusal(.notSupported, "there is no hardware to reset") }
        do throws(Errno) {
            try hardware.reset()
        } catch .resourceTemporarilyUnavailable {
            throw Refusal(
                .resourceTemporarilyUnavailable,
                "the device is being removed, suspended, or reset by others: try again")
        } catch {
            throw Refusal(error, "the device can't be reset")
        }
        registers?.forgetWrites()
    }

    /// A line of `control/signal`.
    func carryOut(_ request: SignalRequest, by opener: Opener) throws(Refusal) {
        let owner = options.forcesUID ? options.uid : opener.uid
        switch request {
        case .software(let name):
            try signals.create(name, .software, owner: owner, payer: opener.uid)
        case .timer(let name, let period):
            try signals.create(name, .timer(period: period), owner: owner, payer: opener.uid)
        case .remove(let name):
            guard let signal = signals.find(name) else {
                throw Refusal(.noSuchFileOrDirectory, "no signal \(name)")
            }
            guard mayManage(signal.owner, opener.uid) else {
                throw Refusal(.notPermitted, "uid \(signal.owner) made the signal \(name)")
            }
            try signals.remove(signal, by: opener.uid)
        }
    }

    /// A line of `control/stream`.
    func carryOut(_ request: StreamRequest, by opener: Opener) throws(Refusal) {
        switch request {
        case .create(let definition):
            // Its reader sees the buffer, and the generator writes it.
            let buffer = try buffer(
                definition.buffer, for: Credentials(opener), writes: definition.isGenerated)
            if buffer.isForeign {
                // Readers are served by the event loop, which nobody may keep waiting.
                throw Refusal(
                    .notSupported,
                    "\(definition.buffer) is memory of another driver, whose devices an access "
                        + "waits for: map it")
            }
            try streams.create(
                definition, on: buffer, owner: options.forcesUID ? options.uid : opener.uid,
                payer: opener.uid)
            // From here on its generator writes it.
            stale(.buffer(buffer.id))
        case .remove(let name):
            guard let stream = streams[name] else {
                throw Refusal(.noSuchFileOrDirectory, "no stream \(name)")
            }
            try checkOwner(of: stream, opener.uid)
            streams.remove(stream)
        }
    }

    /// Who starts a stream again needs what making it takes: the buffer may be another's by now.
    func checkRights(on stream: Stream, of opener: Opener) throws(Refusal) {
        guard let status = bufferStatus(of: stream),
            Credentials(opener).may(reads: true, writes: stream.definition.isGenerated, status)
        else {
            throw Refusal(
                .permissionDenied,
                "uid \(opener.uid) may not open \(stream.definition.buffer) for that any more")
        }
    }

    /// A stream is its maker's to end, and that of the buffer's owner.
    private func checkOwner(of stream: Stream, _ uid: UInt32) throws(Refusal) {
        if mayManage(stream.owner, uid) { return }
        guard bufferStatus(of: stream)?.uid == uid else {
            throw Refusal(.notPermitted, "uid \(stream.owner) made the stream \(stream.name)")
        }
    }

    /// Cache maintenance of a range; a length of 0 is the rest of the buffer.
    func sync(
        _ buffer: Buffer, offset: UInt64, length: UInt64, direction: Direction,
        for target: SyncTarget
    ) throws(Refusal) {
        do throws(Errno) {
            let size = try buffers.status(of: buffer).size
            guard offset <= size, length <= size - offset else {
                throw Errno.invalidArgument
            }
            let end = length == 0 ? size : offset + length
            try backend.sync(
                buffer.description, offset..<end, direction: direction, for: target)
            buffer.changeSync { $0.owner = target }
        } catch .invalidArgument {
            throw .invalid("\(offset) and \(length) reach beyond the buffer")
        } catch {
            throw Refusal(error, "the sync failed")
        }
    }

    /// What the device has written to the ring is what the reader sees in his mapping.
    func syncForReader(of stream: Stream, _ range: Range<UInt64>) throws(Errno) {
        guard let buffer = streams.buffer(of: stream) else { throw .noDevice }
        try backend.sync(
            stream.descriptor, range, direction: buffer.traits.direction, for: .cpu)
    }

    /// Writing `process` makes the writer the owner.
    func setLease(_ lease: Lease, of buffer: Buffer, by opener: Opener) throws(Refusal) {
        // He may have opened the file when it was his.
        try refusing("\(buffer.name) is not uid \(opener.uid)'s") { () throws(Errno) in
            try checkOwner(of: buffer, opener.uid)
        }
        var traits = buffer.traits
        traits.lease = lease
        if lease == .process {
            traits = traits.owned(by: opener)
            guard traits.ownerStart != 0 else {
                throw Refusal(
                    .noSuchProcess, "the process of the lease is not to be seen from here")
            }
        }
        let fresh = traits
        try refusing("the lease can't be kept") { () throws(Errno) in
            let old = buffer.traits
            try backend.setTraits(fresh, of: buffer.description)
            buffer.state.withLock { $0.traits = fresh }
            leases.unbind(buffer.id)
            guard lease == .process else { return }
            do throws(Errno) {
                try leases.bind(buffer)
            } catch {
                buffer.state.withLock { $0.traits = old }
                try? backend.setTraits(old, of: buffer.description)
                throw error
            }
        }
    }
}
