import Glibc
import SystemPackage

/// The texts that tell of the whole device: lists, `features`, `status`, `metrics`.
enum Report {
    /// Read of `control/alloc`: the buffers.
    static func buffers(_ tree: FileSystem) -> String {
        let buffers = tree.buffers.all
        let known = tree.backend.summaries()
        var owners = LivingOwners()
        var text = ""
        for buffer in buffers {
            guard
                let summary = known?[buffer.id]
                    ?? (try? tree.buffers.status(of: buffer)).map(BufferSummary.init)
            else { continue }
            let (size, owner, traits) = (summary.size, summary.owner, buffer.traits)
            text += "\(buffer.name) \(size) heap=\(traits.heap.name)"
            text += " direction=\(traits.direction.name) uid=\(owner.uid) gid=\(owner.gid)"
            text += " mode=0\(String(owner.mode, radix: 8)) owner=\(owners.owner(of: traits))"
            text += " refs=\(buffer.references) lease=\(traits.lease.rawValue)\n"
        }
        return text
    }

    /// Most buffers were made by few processes: each is looked for once.
    private struct LivingOwners {
        private struct Key: Hashable {
            var number: Int32
            var start: UInt64
        }
        private var known: [Key: Int32] = [:]

        mutating func owner(of traits: BufferTraits) -> Int32 {
            let key = Key(number: traits.owner.number, start: traits.ownerStart)
            if let owner = known[key] { return owner }
            let owner = traits.livingOwner
            known[key] = owner
            return owner
        }
    }

    /// A period with the largest unit that leaves it whole.
    static func time(_ nanoseconds: UInt64) -> String {
        for (factor, unit) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")]
        where nanoseconds.isMultiple(of: UInt64(factor)) {
            return "\(nanoseconds / UInt64(factor))\(unit)"
        }
        return "\(nanoseconds)ns"
    }

    /// Read of `control/signal`.
    static func signals(_ tree: FileSystem) -> String {
        tree.signals.rescan()
        return tree.signals.all.map { signal in
            let source =
                switch signal.source {
                case .software: "software"
                case .timer(let period): "timer period=\(time(period))"
                case .interrupt: "interrupt"
                }
            let now = signal.latest
            return "\(signal.name) \(source) count=\(now.count) missed=\(now.missed)"
                + " enable=\(now.isEnabled ? 1 : 0)\n"
        }.joined()
    }

    /// Read of `control/stream`.
    static func streams(_ tree: FileSystem) -> String {
        tree.streams.all.map { stream in
            let stream = stream.catchUp()
            let definition = stream.definition
            let source =
                switch definition.source {
                case .signal(let name): "\(name)"
                case .pattern(let rate): "pattern rate=\(rate)"
                }
            return "\(stream.name) buffer=\(definition.buffer) period=\(definition.period)"
                + " source=\(source) policy=\(definition.policy.rawValue)"
                + " watermark=\(stream.watermark) status=\(stream.status.rawValue)"
                + " available=\(stream.available)"
                + " overruns=\(stream.overruns)\n"
        }.joined()
    }

    static func features(_ tree: FileSystem) -> String {
        tree.features.map { feature in
            "\(feature.name) \(feature.isThere ? "yes" : "no")"
                + (feature.why.isEmpty ? "" : " \(feature.why)") + "\n"
        }.joined()
    }

    static func status(_ tree: FileSystem) throws(Errno) -> String {
        let on = tree.features.filter(\.isThere).map(\.name).joined(separator: " ")
        return """
            device    \(tree.backend.source)\(tree.isGone ? " gone: it was removed" : "")
            server    devfs \(DevFSVersion.text), pid \(getpid())
            keeper    \(tree.keeper.withLock { $0 }?() ?? "none")
            memory    \(try memory(tree))
            heaps     \(tree.backend.heaps.map(\.name).joined(separator: " "))
            buffers   \(tree.buffers.count)
            signals   \(tree.signals.all.count)
            streams   \(tree.streams.all.count)
            refused   \(tree.log.count) commands (the newest are in control/log)
            features  \(on)

            """ + users(tree) + (try facts(tree))
    }

    /// A line for each user who has something: what, and of how much.
    private static func users(_ tree: FileSystem) -> String {
        tree.quotas.use.map { uid, used in
            let words = Quotas.Resource.allCases.compactMap { resource in
                used[resource].map { count in
                    let limit = tree.quotas.limit(of: resource).each
                    let isLimited = tree.quotas.isLimited(uid) && limit < UInt64.max
                    return "\(resource.word) \(count)" + (isLimited ? "/\(limit)" : "")
                }
            }
            return "user      \(uid): \(words.joined(separator: ", "))\n"
        }.joined()
    }

    private static func memory(_ tree: FileSystem) throws(Errno) -> String {
        if tree.isGone { return "gone" }
        let space = try tree.backend.space()
        return "\(space.used) of \(space.size) bytes used"
    }

    /// What the hardware has to say, and which interrupts are masked as they came too fast.
    private static func facts(_ tree: FileSystem) throws(Errno) -> String {
        guard let hardware = tree.hardware, !tree.isGone else { return "" }
        tree.signals.rescan()
        let storms = tree.signals.all.filter { $0.latest.isStorm }.map(\.name.text)
        let lines =
            try hardware.facts()
            + (storms.isEmpty ? [] : [("storm", "\(storms.joined(separator: " ")): masked")])
        return lines.map { word, text in
            word + String(repeating: " ", count: max(1, 10 - word.utf8.count)) + text + "\n"
        }.joined()
    }

    static func metrics(_ tree: FileSystem) throws(Errno) -> String {
        var text = PrometheusText()
        let metrics = tree.metrics
        // A device that was removed has no memory any more.
        let space =
            tree.isGone ? SpaceStatus(size: 0, free: 0, files: 0) : try tree.backend.space()
        text.add(
            "devfs_info", "gauge", "The mounted device.",
            [([("source", tree.backend.source), ("version", DevFSVersion.text)], 1)])
        text.add("devfs_heap_size_bytes", "gauge", "Limit of the device's memory.", space.size)
        text.add(
            "devfs_heap_used_bytes", "gauge", "Memory in use.", space.used)
        text.add("devfs_buffers", "gauge", "Buffers that exist.", UInt64(tree.buffers.count))
        text.add(
            "devfs_buffer_references", "gauge", "Open descriptors and streams of all buffers.",
            UInt64(tree.buffers.all.map(\.references).reduce(0, +)))
        text.add(
            "devfs_allocations_total", "counter", "Buffers made.", metrics.allocations.count)
        text.add("devfs_frees_total", "counter", "Buffers removed.", metrics.frees.count)
        text.add(
            "devfs_requests_total", "counter", "Requests that reached the server.",
            Metrics.Request.allCases.map { ([("operation", "\($0)")], metrics.count(of: $0)) })
        text.add(
            "devfs_passthrough_opens_total", "counter",
            "Buffers opened so that reads and mappings do not reach the server.",
            metrics.passthroughOpens.count)
        text.add(
            "devfs_read_bytes_total", "counter", "Bytes read through the server.",
            metrics.bytesRead)
        text.add(
            "devfs_written_bytes_total", "counter", "Bytes written through the server.",
            metrics.bytesWritten)
        text.add(
            "devfs_interrupted_reads_total", "counter", "Waiting reads that were interrupted.",
            metrics.interrupts.count)
        text.add(
            "devfs_refused_commands_total", "counter", "Commands that were refused.",
            tree.log.count)
        text.add(
            "devfs_user_resource", "gauge", "What a user has of the mount, by uid.",
            tree.quotas.use.flatMap { uid, used in
                Quotas.Resource.allCases.compactMap { resource in
                    used[resource].map {
                        ([("uid", "\(uid)"), ("resource", resource.word)], $0)
                    }
                }
            })
        if let registers = tree.registers {
            text.add(
                "devfs_register_accesses_total", "counter",
                "Reads and writes of registers by their names.",
                [
                    ([("access", "read")], registers.reads),
                    ([("access", "write")], registers.writes),
                ]
            )
        }
        let signals = tree.signals.all
        text.add(
            "devfs_signal_events_total", "counter", "Events of a signal.",
            signals.map { ([("signal", $0.name.text)], $0.latest.count) })
        text.add(
            "devfs_signal_missed_total", "counter", "Events that were lost.",
            signals.map { ([("signal", $0.name.text)], $0.latest.missed) })
        let streams = tree.streams.all.map { $0.catchUp() }
        let samples = { (value: (Stream) -> UInt64) in
            streams.map { ([("stream", $0.name.text)], value($0)) }
        }
        text.add(
            "devfs_stream_filled_bytes_total", "counter",
            "Bytes that the device has filled since the stream started.", samples(\.produced))
        text.add(
            "devfs_stream_available_bytes", "gauge", "Bytes that can be read now.",
            samples(\.available))
        text.add("devfs_stream_ring_bytes", "gauge", "Bytes of the ring.", samples(\.size))
        text.add(
            "devfs_stream_overruns_total", "counter", "Periods that were lost.",
            samples(\.overruns))
        return text.text
    }
}

extension BufferSummary {
    fileprivate init(_ status: FileStatus) {
        self.init(
            size: status.size,
            owner: Ownership(uid: status.uid, gid: status.gid, mode: status.mode & 0o7777))
    }
}
