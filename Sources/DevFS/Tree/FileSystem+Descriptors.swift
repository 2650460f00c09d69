import SystemPackage

/// Files that are handed out by the socket: the rights are those that opening them would take.
extension FileSystem {
    func descriptor(
        ofBuffer name: Name, writes: Bool, for peer: Credentials
    ) throws(Refusal) -> Descriptor {
        let buffer = try buffer(name, for: peer, writes: writes)
        do throws(Errno) {
            // Its size may be changing at the moment. The thread is the peer's own user's.
            return try BufferTable.patience.retry { () throws(Errno) in
                try buffers.export(buffer, readOnly: !writes)
            }
        } catch {
            throw Refusal(error, "the buffer can't be given to uid \(peer.uid)")
        }
    }

    /// A stream that the peer may read, as he may read its buffer.
    func stream(_ name: Name, for peer: Credentials) throws(Refusal) -> Stream {
        guard let stream = streams[name] else {
            throw Refusal(.noSuchFileOrDirectory, "no stream \(name)")
        }
        guard let status = bufferStatus(of: stream), peer.may(writes: false, status) else {
            throw Refusal(.permissionDenied, "uid \(peer.uid) may not read the stream's buffer")
        }
        return stream
    }

    /// The memory of a stream's ring, whatever its buffer is called by now, to be read.
    func descriptor(
        ofRing name: Name, for peer: Credentials
    ) throws(Refusal) -> Descriptor {
        let stream = try stream(name, for: peer)
        do throws(Errno) {
            guard let buffer = streams.buffer(of: stream) else { throw Errno.noDevice }
            return try BufferTable.patience.retry { () throws(Errno) in
                try buffers.export(buffer, readOnly: true)
            }
        } catch {
            throw Refusal(error, "the ring can't be given to uid \(peer.uid)")
        }
    }

    /// It is none of the tree's opens, so it has no part in the registration for passthrough, and it
    /// is the module that counts it against the other file of the same BAR, which is not waited for.
    func descriptor(
        ofRegion name: Name, writes: Bool, for peer: Credentials
    ) throws(Refusal) -> Descriptor {
        guard let hardware, let region = regions.first(where: { $0.name == name }) else {
            throw Refusal(.noSuchFileOrDirectory, "no region \(name)")
        }
        do throws(Errno) {
            let status = try status(of: .region(region.index))
            // What can't be written, not even root opens for it.
            guard peer.may(writes: writes, status), region.isWritable || !writes else {
                throw .permissionDenied
            }
            return try hardware.open(region, writes: writes)
        } catch .resourceBusy {
            throw Refusal(.resourceBusy, "the other file of the same BAR is open")
        } catch .notSupported {
            throw Refusal(
                .notSupported,
                "this backend has no file of one region alone: read and write regions/\(name)")
        } catch {
            throw Refusal(error, "the region can't be given to uid \(peer.uid)")
        }
    }
}
