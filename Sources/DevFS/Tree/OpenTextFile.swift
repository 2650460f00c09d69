import Synchronization
import SystemPackage

/// An open text file: one reader sees one whole text.
final class OpenTextFile<Subject: Sendable>: OpenFile {
    private let file: TextFile<Subject>
    private let subject: Subject
    private let tree: FileSystem
    private let path: String
    private let opener: Opener
    private let text = Mutex<(text: SharedText, charge: Quotas.Charge?)?>(nil)
    private let line = Mutex(Line())
    /// Where the next server finds the line.
    private let kept = Mutex<KeptHandle?>(nil)

    /// What the writes so far have left.
    private struct Line {
        /// Waits for its end.
        var rest: ArraySlice<UInt8> = []
        /// Of the user who opened the file.
        var charge: Quotas.Charge?
        /// The last write ended without a newline: one that comes now is its.
        var lacksNewline = false
        /// The log has it already.
        var isLogged = false
    }

    /// - Parameters:
    ///   - path: in the tree, for the log.
    ///   - opener: whose rights its commands have.
    init(
        _ file: TextFile<Subject>, of subject: Subject, in tree: FileSystem, path: String,
        by opener: Opener
    ) {
        self.opener = opener
        self.file = file
        self.subject = subject
        self.tree = tree
        self.path = path
    }

    /// What this open file shows: made when it is first wanted, or `anew`.
    private func whole(anew: Bool) throws(Errno) -> [UInt8] {
        guard let read = file.read else { throw .badFileDescriptor }
        if !anew, let present = text.withLock({ $0?.text.bytes }) { return present }
        let bytes = Array(try read(tree, subject).utf8)
        if file.traits.contains(.locating) { (subject as? Buffer)?.located() }
        let isShared = file.isReport && subject is Void
        let fresh = isShared ? tree.shared(bytes, of: path).text : SharedText(bytes)
        guard let charge = fresh.charge(to: opener.uid, in: tree.quotas) else {
            throw Quotas.Resource.text.errno
        }
        let kept = (text: fresh, charge: charge)
        text.withLock { $0 = kept }
        return kept.text.bytes
    }

    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    {
        let bytes = try whole(anew: offset == 0)
        guard offset < UInt64(bytes.count) else { return .end }
        return .bytes(bytes[Int(offset)...].prefix(size))
    }

    var length: UInt64? {
        if readsWait { return text.withLock { $0.map { UInt64($0.text.bytes.count) } } }
        return (try? whole(anew: false)).map { UInt64($0.count) }
    }

    var readsWait: Bool { file.traits.contains(.slowToRead) }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        guard let write = file.write else { throw .badFileDescriptor }
        // The server before this one was at its answer.
        if let answer = Undertaking.current?.answer,
            let taken = Int(String(decoding: answer, as: UTF8.self))
        {
            return taken
        }
        let before = line.withLock { line in
            defer { line = Line() }
            return line
        }
        let lacksNewline = unsafe bytes.last.map { $0 != UInt8(ascii: "\n") && $0 != 0 } ?? false
        if before.lacksNewline, before.rest.isEmpty,
            unsafe bytes.elementsEqual([0x0a])
                || bytes.elementsEqual([0x0d, 0x0a]) || bytes.elementsEqual([0])
        {
            keep(Line(), taken: bytes.count)
            return bytes.count
        }
        // Before anything is done.
        var charge: Quotas.Charge?
        if file.takesLines && lacksNewline {
            charge = tree.quotas.tryCharge(.text, UInt64(CommandText.longest), to: opener.uid)
            guard charge != nil else { throw Quotas.Resource.text.errno }
        }
        let text = unsafe CommandText(bytes, after: before.rest, file: path)
        let outcome = try write(tree, subject, text, opener)
        let after = Line(
            rest: outcome.rest, charge: outcome.rest.isEmpty ? nil : charge,
            lacksNewline: lacksNewline && outcome.taken == bytes.count)
        line.withLock { $0 = after }
        keep(after, taken: outcome.taken)
        return outcome.taken
    }

    /// What waits for its end, and that the request which left it is done.
    private func keep(_ line: Line, taken: Int = 0) {
        guard file.takesLines, let kept = kept.withLock({ $0 }) else { return }
        let progress = KeptHandle.Progress(
            position: line.lacksNewline ? 1 : 0, rest: Array(line.rest))
        if progress == kept.progress { return }
        kept.set(
            progress, answering: Undertaking.current?.unique ?? 0,
            with: Array("\(taken)".utf8))
    }

    var commander: Opener? { file.write == nil ? nil : opener }

    func keep(in handle: KeptHandle, isAdopted: Bool) {
        kept.withLock { $0 = handle }
        guard isAdopted, file.takesLines else { return }
        let before = handle.progress
        var line = Line(rest: before.rest[...], lacksNewline: before.position == 1)
        if !line.rest.isEmpty {
            line.charge = tree.quotas.tryCharge(
                .text, UInt64(CommandText.longest), to: opener.uid)
        }
        let restored = line
        self.line.withLock { $0 = restored }
    }

    var hasEnd: Bool { file.takesLines && file.write != nil }
    var flushWaits: Bool { writesWait(0) && line.withLock { !$0.rest.isEmpty } }

    /// Children of who opened the file close it when they end: that is not its end.
    ///
    /// The last descriptor is not told from a copy of it, so what is no command goes on to wait.
    func flush(by caller: Caller) throws(Errno) {
        if Undertaking.current?.answer != nil { return }
        guard let write = file.write, line.withLock({ !$0.rest.isEmpty }),
            ProcessHandle.process(of: caller.pid) == opener.pid
                || ProcessHandle.isEnding(opener.pid)
        else { return }
        var before = line.withLock { line in
            defer { line = Line() }
            return line
        }
        let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        let text = unsafe CommandText(nothing, after: before.rest, ending: .close, file: path)
        guard try !write(tree, subject, text, opener).rest.isEmpty else { return keep(Line()) }
        refuse(&before)
        line.withLock { if $0.rest.isEmpty { $0 = before } }
        throw .invalidArgument
    }

    private func refuse(_ line: inout Line) {
        guard !line.rest.isEmpty, !line.isLogged else { return }
        line.isLogged = true
        tree.log.add(
            .invalid("the file was closed, the line has no newline and is no command"),
            command: line.rest, file: path, by: opener)
    }

    func close() {
        var last = line.withLock { $0 }
        refuse(&last)
    }

    func writesWait(_ count: Int) -> Bool {
        // What is longer than a command takes long to be read already.
        file.traits.contains(.slow) || file.traits.contains(.slowInBulk) && count > 2 || count > 256
    }
    /// An attribute is one of a buffer's.
    var lane: BufferID? { (subject as? Buffer)?.id }

    func lane(writing bytes: UnsafeRawBufferPointer) -> BufferID? {
        guard file.traits.contains(.naming) else { return lane }
        let word = unsafe (line.withLock { Array($0.rest) } + bytes.prefix(Name.longest + 1))
            .prefix { $0 > UInt8(ascii: " ") }
        return Name(String(decoding: word, as: UTF8.self)).flatMap { tree.buffers[$0]?.id }
    }
}
