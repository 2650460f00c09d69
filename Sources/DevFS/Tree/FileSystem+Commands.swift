import SystemPackage

/// Carries out the commands of `control/`, with the rights of who opened the file.
extension FileSystem {
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
            let isWritten = if case .pattern = definition.source { true } else { false }
            let buffer = try buffer(
                definition.buffer, for: Credentials(opener), writes: isWritten)
            try streams.create(
                definition, on: buffer, owner: options.forcesUID ? options.uid : opener.uid,
                payer: opener.uid)
        case .remove(let name):
            guard let stream = streams[name] else {
                throw Refusal(.noSuchFileOrDirectory, "no stream \(name)")
            }
            try checkOwner(of: stream, opener.uid)
            streams.remove(stream)
        }
    }

    /// A stream is its maker's to end, and that of the buffer's owner.
    private func checkOwner(of stream: Stream, _ uid: UInt32) throws(Refusal) {
        if mayManage(stream.owner, uid) { return }
        guard (try? Syscalls.status(of: stream.descriptor).uid) == uid else {
            throw Refusal(.notPermitted, "uid \(stream.owner) made the stream \(stream.name)")
        }
    }
}
