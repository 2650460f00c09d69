import Glibc
import SystemPackage

/// `registers/`: blocks and registers as directories, `value`, `info` and fields as files. An entry's
/// number says what kind it is, so that no table has to be asked.
extension Nested {
    static let registers = Nested(
        find: { tree, id, name throws(Errno) in
            let registers = try tree.namedRegisters()
            let found = registers.table.find(name, in: try registers.entry(id))
            return found.map { registers.number(of: $0) }
        },
        list: { tree, id throws(Errno) in
            let registers = try tree.namedRegisters()
            return registers.table.list(try registers.entry(id)).map {
                ($0.name, registers.number(of: $0.entry))
            }
        },
        status: { tree, id throws(Errno) in
            let registers = try tree.namedRegisters()
            return registers.status(of: try registers.entry(id), in: tree)
        },
        open: { tree, id, request throws(Errno) in
            let registers = try tree.namedRegisters()
            return try registers.open(try registers.entry(id), in: tree, request)
        },
        parent: { tree, id throws(Errno) in
            let registers = try tree.namedRegisters()
            return registers.number(of: registers.table.parent(of: try registers.entry(id)))
        },
        isPossible: { $0 >> 2 > 0 && Registers.Kind(rawValue: $0 & 3) != nil },
        isDirectory: { $0 & 3 == Registers.Kind.directory.rawValue },
        hasInodes: { $0 & 3 == Registers.Kind.written.rawValue })
}

extension FileSystem {
    fileprivate func namedRegisters() throws(Errno) -> Registers {
        guard let registers else { throw .staleNFSFileHandle }
        return registers
    }
}

extension Registers {
    /// Bits 1:0 of a number.
    fileprivate enum Kind: UInt64 {
        case directory = 1
        case read, written
    }

    /// The folder itself is 0.
    fileprivate func number(of entry: RegisterTable.Entry) -> UInt64 {
        if entry == .block(0) { return 0 }
        let kind: Kind =
            switch entry {
            case .block, .register: .directory
            default: permissions(of: entry) & 0o200 == 0 ? .read : .written
            }
        return UInt64(table.number(of: entry)) << 2 | kind.rawValue
    }

    /// - Throws: ESTALE for a number that none has.
    fileprivate func entry(_ id: UInt64) throws(Errno) -> RegisterTable.Entry {
        guard let number = UInt32(exactly: id >> 2), let entry = table.entry(number),
            self.number(of: entry) == id
        else { throw .staleNFSFileHandle }
        return entry
    }

    // MARK: What is shown

    /// What the registers themselves, the region and the mount let be done, for the owner alone.
    private func permissions(of entry: RegisterTable.Entry) -> UInt32 {
        func mode(_ item: Int, reads: Bool, writes: Bool) -> UInt32 {
            let register = table.items[item]
            let hasEffect = register.hasReadEffect(table.fields(of: item))
            let isReadable = reads && (allowsReadEffects || !hasEffect)
            let isWritable = writes && ports[Int(register.port)].isWritable
            return (isReadable ? 0o400 : 0) | (isWritable ? 0o200 : 0)
        }
        switch entry {
        case .block, .register: return 0o777
        case .info: return 0o444
        case .value(let item):
            let (register, fields) = (table.items[item], table.fields(of: item))
            return mode(
                item, reads: register.isReadable(fields), writes: register.isWritable(fields))
        case .field(let item, let place):
            let kind = table.field(item, place).kind
            return mode(item, reads: kind.reads, writes: kind.writes)
        }
    }

    fileprivate func status(
        of entry: RegisterTable.Entry, in tree: FileSystem
    ) -> FileStatus {
        let (type, length): (UInt32, Int) =
            switch entry {
            case .block, .register: (S_IFDIR, 0)
            case .value(let item): (S_IFREG, table.items[item].digits + 3)
            case .info(let item):
                (S_IFREG, table.infoLength(of: item, region: region(of: item)))
            case .field(let item, let place): (S_IFREG, table.length(of: table.field(item, place)))
            }
        var status = FileStatus(
            inode: 0, mode: type | (permissions(of: entry) & ~tree.options.umask),
            uid: tree.options.uid, gid: tree.options.gid, at: tree.started)
        status.size = UInt64(length)
        status.blocks = (status.size + 511) / 512
        return status
    }

    private func region(of item: Int) -> String {
        ports[Int(table.items[item].port)].place.text
    }

    // MARK: Opening

    fileprivate func open(
        _ entry: RegisterTable.Entry, in tree: FileSystem, _ request: OpenRequest
    ) throws(Errno) -> any OpenFile {
        let path = "registers/" + table.path(of: entry)
        let opener =
            if let known = request.opener {
                known
            } else if request.flags.writes {
                Opener(waiting: request.caller)
            } else {
                Opener(request.caller)
            }
        func file(_ text: TextFile<Void>) -> OpenTextFile<Void> {
            OpenTextFile(text, of: (), in: tree, path: path, by: opener)
        }
        do throws(Refusal) {
            switch entry {
            case .block, .register: throw Refusal(.isDirectory, "it is a directory")
            case .info(let item):
                let region = region(of: item)
                return file(
                    TextFile(
                        "info", 0o444, read: { _, _ in self.table.info(of: item, region: region) }))
            case .value(let item):
                let port = try port(item, entry, in: tree, request)
                return RegisterFile(file(whole(item, port)), lane: port.lane)
            case .field(let item, let place):
                let port = try port(item, entry, in: tree, request)
                return RegisterFile(file(field(item, place, port)), lane: port.lane)
            }
        } catch {
            throw tree.log.add(error, command: "open".utf8, file: path, by: request.caller)
        }
    }

    /// Root passes by the modes, so what they say is checked here again.
    private func port(
        _ item: Int, _ entry: RegisterTable.Entry, in tree: FileSystem, _ request: OpenRequest
    ) throws(Refusal) -> OpenPort {
        let allowed = permissions(of: entry)
        if request.flags.writes && allowed & 0o200 == 0 {
            throw Refusal(.permissionDenied, "the map says that it can't be written")
        }
        let register = table.items[item]
        if request.flags.reads && allowed & 0o400 == 0 {
            let hasEffect = register.hasReadEffect(table.fields(of: item))
            throw Refusal(
                .permissionDenied,
                hasEffect && !allowsReadEffects
                    ? "reading it has an effect: mount with read_effects"
                    : "the map says that it can't be read")
        }
        return try OpenPort(ports[Int(register.port)], tree.hardware, tree.buffers)
    }

    /// `value`.
    private func whole(_ item: Int, _ port: OpenPort) -> TextFile<Void> {
        let (register, fields) = (table.items[item], table.fields(of: item))
        let written = fields.filter { $0.kind.writes }
        let isOnce =
            written.isEmpty ? register.access.isOnce : written.allSatisfy { $0.kind.isOnce }
        return .commands(
            RegisterTable.valueName, 0, atMost: 1, .slow,
            read: { _, _ throws(Errno) in
                RegisterTable.hex(try port.read(register), digits: register.digits) + "\n"
            },
            parse: { line throws(Refusal) in try RegisterTable.parse(line, for: register) },
            run: { _, _, value, _ throws(Refusal) in
                try port.turns.take { () throws(Refusal) in
                    if isOnce && self.wasWritten(item) { throw RegisterWrite.writtenOnce }
                    try self.write(value, item, port)
                }
            })
    }

    private func field(_ item: Int, _ place: Int, _ port: OpenPort) -> TextFile<Void> {
        let register = table.items[item]
        let field = table.field(item, place)
        return .commands(
            "", 0, atMost: 1, .slow,
            read: { _, _ throws(Errno) in
                let value = try port.read(register) >> UInt64(field.lowest) & field.most
                return self.table.text(value, of: field) + "\n"
            },
            parse: { line throws(Refusal) in try self.table.parse(line, for: field) },
            run: { _, _, value, _ throws(Refusal) in
                try port.turns.take { () throws(Refusal) in
                    let plan = try RegisterWrite.plan(
                        value, to: place, of: register, Array(self.table.fields(of: item)),
                        wasWritten: self.wasWritten(item),
                        allowsReadEffects: self.allowsReadEffects,
                        name: { self.table.text($0.name) })
                    let present = try refusing("the register can't be read") { () throws(Errno) in
                        plan.kept == 0 ? 0 : try port.read(register)
                    }
                    try self.write(plan.word(present), item, port)
                }
            })
    }

    private func write(_ value: UInt64, _ item: Int, _ port: OpenPort) throws(Refusal) {
        let register = table.items[item]
        try refusing("the register can't be written") { () throws(Errno) in
            try port.write(value, to: register)
        }
        if register.isOnce(table.fields(of: item)) { noteWrite(item) }
    }
}
