import SystemPackage

/// The tree as tables: one row a directory, and one row a file: its name, its mode and what it does. A
/// row's index is part of the inode number: new rows go to the end. Modes are before the mount's umask.
///
/// docs/reference/ says the same in words. What the rows do is in Folders.swift, and what commands do
/// in FileSystem+Commands.swift.
enum Layout {
    // MARK: Directories

    static let folders: [Folder] = [
        Folder(.root, "", Folder.Numbers(packed: 2), files: Files(root, "")),
        Folder(
            .buffers, "buffers", Folder.Numbers(child: 25), children: .buffers,
            changed: { $0.buffers.changed }),
        Folder(
            .attributes, "attributes", Folder.Numbers(child: 26, rows: 27...63),
            children: .attributes, changed: { $0.buffers.changed }),
        Folder(
            .control, "control", Folder.Numbers(packed: 3),
            files: Files(control, "control/", adjust: dateLog)),
        Folder(
            .heaps, "heaps", in: .control,
            Folder.Numbers(child: 4, packed: 5, limit: UInt64(Heap.allCases.count)),
            children: .heaps),
        Folder(
            .signals, "signals",
            Folder.Numbers(child: 7, rows: 8...15, isEachServersOwn: true), children: .signals,
            changed: { $0.signals.changed }),
        Folder(
            .streams, "streams",
            Folder.Numbers(child: 16, rows: 17...24, isEachServersOwn: true), children: .streams,
            changed: { $0.streams.changed }),
        Folder(
            .regions, "regions", Folder.Numbers(child: 6), isThere: { !$0.regions.isEmpty },
            children: .regions),
        Folder(
            .registers, "registers",
            Folder.Numbers(nested: 0, limit: 1 << 26, isEachServersOwn: true),
            isThere: { $0.registers != nil }, nested: .registers),
    ]

    static subscript(directory: Directory) -> Folder {
        folders[Int(directory.rawValue) - 1]  // fits: they are numbered from 1, in this order
    }

    /// Addresses: for root and the mount's owner alone.
    static let secret: UInt32 = 0o400

    // MARK: /

    static let root: [TextFile<Void>] = [
        TextFile("version", 0o444, read: { _, _ in "devfs \(DevFSVersion.text)\n" }),
        TextFile("features", 0o444, read: { tree, _ in Report.features(tree) }),
        TextFile(
            "status", 0o444, lines: { tree, _ in 32 + tree.quotas.count },
            read: { tree, _ throws(Errno) in try Report.status(tree) }),
        TextFile(
            "metrics", 0o444,
            lines: { tree, _ in
                128 + 2 * tree.signals.count + tree.streams.count
                    + Quotas.Resource.allCases.count * tree.quotas.count
            },
            read: { tree, _ throws(Errno) in try Report.metrics(tree) }),
    ]

    // MARK: control/

    static let control: [TextFile<Void>] = [
        .commands(
            "alloc", 0o666, lines: { tree, _ in tree.buffers.count }, [.slow, .identified],
            read: { tree, _ in tree.lists.get { Report.buffers(tree) } },
            parse: AllocationRequest.parse,
            run: { tree, _, request, opener throws(Refusal) in
                try tree.allocate(request, by: opener)
            }),
        .commands(
            "free", 0o222, .slow, parse: Name.parse,
            run: { tree, _, name, opener throws(Refusal) in
                guard let buffer = tree.buffers[name] else {
                    throw Refusal(.noSuchFileOrDirectory, "no buffer \(name)")
                }
                try refusing("\(name) can't be freed by uid \(opener.uid)") {
                    () throws(Errno) in try tree.remove(buffer, by: opener.uid)
                }
                tree.namesChanged(of: buffer)
            }),
        .commands(
            "sync", 0o222, [.slow, .naming], parse: SyncRequest.parse,
            run: { tree, _, request, opener throws(Refusal) in
                let buffer = try tree.buffer(
                    request.name, for: Credentials(opener), reads: false, writes: true)
                try tree.sync(
                    buffer, offset: request.offset, length: request.length,
                    direction: buffer.traits.direction, for: request.target)
            }),
        .commands(
            "signal", 0o666, lines: { tree, _ in tree.signals.count }, .slow,
            read: { tree, _ in Report.signals(tree) },
            parse: SignalRequest.parse,
            run: { tree, _, request, opener throws(Refusal) in
                try tree.carryOut(request, by: opener)
            }),
        .commands(
            "stream", 0o666, lines: { tree, _ in 2 * tree.streams.count }, .slow,
            read: { tree, _ in Report.streams(tree) },
            parse: StreamRequest.parse,
            run: { tree, _, request, opener throws(Refusal) in
                try tree.carryOut(request, by: opener)
            }),
        TextFile(
            "log", 0o444, isFollowed: true, read: { tree, _ in tree.log.text },
            open: { tree, _, request in LogFile(request.inode, in: tree, by: request.caller) }),
        TextFile(
            "socket", 0o444,
            read: { tree, _ throws(Errno) in
                if tree.isGone { throw .noDevice }
                return tree.socketPath + "\n"
            },
            open: { tree, _, request in
                // Each user's own: administrators' is not to be used up by others.
                let path = tree.socketPath(for: request.caller.uid)
                return OpenTextFile(
                    TextFile<Void>(
                        "socket", 0o444,
                        read: { tree, _ throws(Errno) in
                            if tree.isGone { throw .noDevice }
                            return path + "\n"
                        }), of: (), in: tree, path: "control/socket",
                    by: Opener(request.caller))
            }),
        .value(
            "reset", 0o200, .slow,
            parse: { word throws(Refusal) in
                guard word == "1" || word == "reset" else { throw .invalid("1 or reset") }
            },
            write: { tree, _, _, _ throws(Refusal) in try tree.reset() }
        ).only(where: { $0.hardware?.canReset ?? false }),
    ]

    // MARK: control/heaps/HEAP/

    static let heap: [TextFile<Heap>] = [
        TextFile("type", 0o444, read: { _, heap in heap.kind.rawValue + "\n" }),
        TextFile(
            "size", 0o444,
            read: { tree, heap throws(Errno) in "\(try tree.backend.status(of: heap).size)\n" }),
        TextFile(
            "used", 0o444,
            read: { tree, heap throws(Errno) in "\(try tree.backend.status(of: heap).used)\n" }),
        TextFile(
            "max", 0o444,
            read: { tree, heap throws(Errno) in "\(try tree.backend.status(of: heap).largest)\n" }),
    ]

    // MARK: attributes/NAME/

    static let attributes: [TextFile<Buffer>] = [
        .value(
            "size", 0o644, .slow,
            read: { tree, buffer throws(Errno) in try tree.buffers.status(of: buffer).size },
            parse: { word throws(Refusal) in try Words.size(word, "the size") },
            write: { tree, buffer, size, _ throws(Refusal) in
                defer { tree.stale(.buffer(buffer.id)) }
                try tree.buffers.resize(buffer, to: size, handles: 0)
            }),
        .value("heap", 0o444) { _, buffer in buffer.traits.heap.name },
        .value("direction", 0o444) { _, buffer in buffer.traits.direction.name },
        .value("dma_addr", secret, .locating) { tree, buffer throws(Errno) in
            Number.address(try tree.backend.dmaAddress(of: buffer.description))
        },
        .value("phys_addr", secret, .locating) { tree, buffer throws(Errno) in
            Number.address(try tree.backend.physicalAddress(of: buffer.description))
        },
        .value("nents", 0o444) { tree, buffer throws(Errno) in
            try tree.backend.segments(of: buffer.description)
        },
        .value("sg_table", secret, [.locating, .slowToRead]) { tree, buffer throws(Errno) in
            try tree.backend.scatterGather(of: buffer.description)
                .map { "\(Number.address($0.0)) \($0.1)" }.joined(separator: "\n")
        },
        .value("numa_node", 0o444) { tree, buffer throws(Errno) in
            try tree.backend.numaNode(of: buffer.description)
        },
        .value("dma_coherent", 0o444) { tree, buffer throws(Errno) in
            try tree.backend.isCoherent(buffer.description) ? 1 : 0
        },
        .sync("sync_for_cpu", .cpu),
        .sync("sync_for_device", .device),
        .value(
            "sync_offset", 0o644, read: { _, buffer in buffer.syncSettings.offset },
            parse: { word throws(Refusal) in try Words.size(word, "the offset") },
            write: { _, buffer, offset, _ in buffer.changeSync { $0.offset = offset } }),
        .value(
            "sync_size", 0o644, read: { _, buffer in buffer.syncSettings.size },
            parse: { word throws(Refusal) in try Words.size(word, "the size") },
            write: { _, buffer, size, _ in buffer.changeSync { $0.size = size } }),
        .value(
            "sync_direction", 0o644, read: { _, buffer in buffer.syncSettings.direction.rawValue },
            parse: { word throws(Refusal) in
                guard
                    let direction = Direction(name: word)
                        ?? Number.plain(word).flatMap({ Direction(rawValue: Int(clamping: $0)) })
                else { throw .invalid("0, 1 or 2; bidirectional, to_device or from_device") }
                return direction
            },
            write: { _, buffer, direction, _ in buffer.changeSync { $0.direction = direction } }),
        .value("sync_owner", 0o444) { _, buffer in buffer.syncSettings.owner == .cpu ? 0 : 1 },
        .value("owner", 0o444) { _, buffer in buffer.traits.livingOwner },
        .value("refs", 0o444) { _, buffer in buffer.references },
        .value(
            "name", 0o644, read: { _, buffer in buffer.name },
            parse: { word throws(Refusal) in try Name.parse(word) },
            write: { tree, buffer, name, opener throws(Refusal) in
                try refusing("it can't be renamed to \(name)") { () throws(Errno) in
                    try tree.rename(buffer, to: name, flags: .noReplace, by: opener.caller)
                }
                tree.namesChanged(of: buffer)
            }),
        .value(
            "lease", 0o644, [.slow, .identified],
            read: { _, buffer in buffer.traits.lease.rawValue },
            parse: { word throws(Refusal) in
                guard let lease = Lease(rawValue: String(word)) else {
                    throw .invalid("lease is none or process")
                }
                return lease
            },
            write: { tree, buffer, lease, opener throws(Refusal) in
                try tree.setLease(lease, of: buffer, by: opener)
            }),
    ]

    // MARK: signals/NAME/

    static let signal: [TextFile<Signal>] = [
        TextFile("wait", 0o444, open: { _, signal, _ throws(Errno) in try WaitFile(signal) }),
        .value("count", 0o444) { _, signal throws(Errno) in try signal.summary().count },
        .value("missed", 0o444) { _, signal throws(Errno) in try signal.summary().missed },
        .value(
            "enable", 0o644,
            read: { _, signal throws(Errno) in try signal.summary().isEnabled ? 1 : 0 },
            parse: flag,
            write: { tree, signal, isEnabled, _ throws(Refusal) in
                try refusing("the source can't be set") { () throws(Errno) in
                    try tree.signals.enable(signal, isEnabled)
                }
            }),
        .value(
            "trigger", 0o222, .slowInBulk,
            parse: { word throws(Refusal) in
                guard let count = Number.parse(word), (1...1_000_000).contains(count) else {
                    throw .invalid("a number of events, 1 to 1000000")
                }
                return count
            },
            write: { tree, signal, count, _ throws(Refusal) in
                try tree.signals.trigger(signal, count)
            }),
        .commands(
            "notify", 0o666,
            lines: { tree, signal in tree.signals.notifications(of: signal).count },
            [.slow, .identified],
            read: { tree, signal in
                tree.signals.notifications(of: signal).map { $0.text + "\n" }.joined()
            },
            parse: NotifyRequest.parse,
            run: { tree, signal, request, opener throws(Refusal) in
                try tree.signals.carryOut(request, on: signal, by: opener)
            }),
    ]

    // MARK: streams/NAME/

    static let stream: [TextFile<Stream>] = [
        TextFile("data", 0o444, open: { _, stream, _ throws(Errno) in try StreamFile(stream) }),
        .value("status", 0o444) { _, stream in stream.catchUp().status.rawValue },
        .value("available", 0o444) { _, stream in stream.catchUp().available },
        .value("overruns", 0o444) { _, stream in stream.catchUp().overruns },
        .value(
            "watermark", 0o644, read: { _, stream in stream.watermark },
            parse: { word throws(Refusal) in try Words.size(word, "the watermark") },
            write: { _, stream, bytes, _ throws(Refusal) in
                guard stream.setWatermark(bytes) else {
                    throw .invalid("the watermark is 1 to the ring less one period")
                }
            }),
        .value(
            "enable", 0o644, read: { _, stream in stream.status == .running ? 1 : 0 },
            parse: flag,
            write: { tree, stream, isEnabled, opener throws(Refusal) in
                guard isEnabled else { return stream.stop() }
                try tree.checkRights(on: stream, of: opener)
                stream.start()
            }),
        // Whoever may take the data from the ring may do so where they lie.
        TextFile(
            "ready", 0o666,
            open: { tree, stream, request throws(Errno) in
                try ReadyFile(
                    stream, by: request.opener ?? Opener(waiting: request.caller), log: tree.log
                ) { (range) throws(Errno) in try tree.syncForReader(of: stream, range) }
            }),
    ]

    @Sendable private static func flag(_ word: Substring) throws(Refusal) -> Bool {
        guard word == "0" || word == "1" else { throw .invalid("0 or 1") }
        return word == "1"
    }

    /// The log changes with each line of it.
    @Sendable private static func dateLog(
        _ tree: FileSystem, _: Void, _ file: TextFile<Void>, _ status: inout FileStatus
    ) {
        if file.isFollowed, let changed = tree.log.changed { status.setTimes(changed) }
    }
}

extension TextFile {
    /// A file with one value, and a newline after it.
    static func value<Shown: CustomStringConvertible & SendableMetatype>(
        _ name: String, _ mode: UInt32, _ traits: CommandTraits = [],
        read: @escaping @Sendable (FileSystem, Subject) throws(Errno) -> Shown
    ) -> TextFile {
        TextFile(
            name, mode, traits,
            read: { (tree, subject) throws(Errno) in "\(try read(tree, subject))\n" })
    }

    /// A file with one value that can be written.
    static func value<Value, Shown: CustomStringConvertible & SendableMetatype>(
        _ name: String, _ mode: UInt32, _ traits: CommandTraits = [],
        read: @escaping @Sendable (FileSystem, Subject) throws(Errno) -> Shown,
        parse: @escaping @Sendable (Substring) throws(Refusal) -> Value,
        write: @escaping @Sendable (FileSystem, Subject, Value, Opener) throws(Refusal) -> Void
    ) -> TextFile {
        .commands(
            name, mode, atMost: 1, traits,
            read: { (tree, subject) throws(Errno) in "\(try read(tree, subject))\n" },
            parse: { line throws(Refusal) in try word(line, parse) }, run: write)
    }

    /// A file that is only written.
    static func value<Value>(
        _ name: String, _ mode: UInt32, _ traits: CommandTraits = [],
        parse: @escaping @Sendable (Substring) throws(Refusal) -> Value,
        write: @escaping @Sendable (FileSystem, Subject, Value, Opener) throws(Refusal) -> Void
    ) -> TextFile {
        .commands(
            name, mode, atMost: 1, traits, parse: { line throws(Refusal) in try word(line, parse) },
            run: write)
    }

    /// A line that is one word.
    private static func word<Value>(
        _ line: Substring, _ parse: (Substring) throws(Refusal) -> Value
    ) throws(Refusal) -> Value {
        var words = try Words(line)
        let word = try words.next("the value")
        try words.end()
        return try parse(word)
    }
}

extension TextFile<Buffer> {
    /// `sync_for_cpu` and `sync_for_device`: 1 syncs what the attributes say, or u-dma-buf's
    /// packed form does all in one number: bits 63:32 offset, 31:4 size, 3:2 direction, 0 go.
    static func sync(_ name: String, _ target: SyncTarget) -> TextFile<Buffer> {
        .value(
            name, 0o222, [.slow, .forWriters],
            parse: { word throws(Refusal) in
                guard let number = Number.plain(word) else {
                    throw .invalid("1, or a packed 64-bit number")
                }
                guard number == 0 || number & 1 == 1, number & 2 == 0 else {
                    throw .invalid("bit 0 of a packed number must be 1, bit 1 must be 0")
                }
                return number
            },
            write: { tree, buffer, number, _ throws(Refusal) in
                guard number != 0 else { return }
                var settings = buffer.syncSettings
                if number > 1 {
                    guard let direction = Direction(rawValue: Int(number >> 2 & 3)) else {
                        throw .invalid("the direction in a packed number must be 0, 1 or 2")
                    }
                    settings.direction = direction
                    settings.offset = number >> 32
                    settings.size = number & 0xffff_fff0
                }
                try tree.sync(
                    buffer, offset: settings.offset, length: settings.size,
                    direction: settings.direction, for: target)
            })
    }
}
