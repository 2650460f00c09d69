import Logging
import SystemPackage

/// Where a server's messages go: entries of systemd's journal, with their level and fields, where it
/// reads our standard error; else lines of the standard error.
struct ServerLog: LogHandler {
    var logLevel = Logger.Level.notice
    var metadata: Logger.Metadata = [:]
    private let journal: JournalSocket?
    private var stream = StreamLogHandler.standardError(label: "devfs")

    init(_ journal: JournalSocket?) { self.journal = journal }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let own = event.metadata ?? [:]
        let fields = metadata.merging(own) { $1 }.map { key, value in
            (name: "DEVFS_\(key.uppercased())", value: "\(value)")
        }
        let isSent = journal?.send(
            "\(event.message)", priority: Self.priority(event.level),
            fields.sorted { $0.name < $1.name })
        // Whoever reads our errors, or does not, keeps nobody waiting.
        guard isSent != true, Syscalls.canWrite(2) else { return }
        // The line has all of it.
        stream.log(
            event: LogEvent(
                level: event.level, message: event.message, metadata: nil, source: nil,
                file: event.file, function: event.function, line: event.line))
    }

    /// As syslog(3) has it.
    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
