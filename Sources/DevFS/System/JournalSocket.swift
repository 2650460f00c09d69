import CFuse
import Glibc
import Synchronization
import SystemPackage

/// systemd's journal by its own protocol: entries with a priority and fields, each a datagram.
/// `systemd.journal-fields(7)`
package final class JournalSocket: Sendable {
    private static let path = "/run/systemd/journal/socket"
    private static let streamPath = "/run/systemd/journal/stdout"

    private let socket: SharedDescriptor
    private let isOn: Atomic<Bool>

    /// Nil where there is no journal. Connected to at once, as the server gives up connect(2).
    /// - Parameter isOn: false, nothing is sent before `switchOn`.
    package init?(isOn: Bool) {
        let raw = unsafe cfuse_datagram_connect(Self.path)
        guard raw >= 0 else { return nil }
        socket = SharedDescriptor(Descriptor(owning: raw))
        self.isOn = Atomic(isOn)
    }

    /// The journal takes what this process writes to its standard error, line by line.
    package static var isStandardError: Bool {
        unsafe cfuse_peer_is(STDERR_FILENO, streamPath)
    }

    /// From here on there is nobody else to tell.
    package func switchOn() { isOn.store(true, ordering: .releasing) }

    /// Sends an entry, and waits for nobody: a journal that does not read loses it.
    /// - Returns: false where it is to be told elsewhere.
    func send(_ message: String, priority: Int, _ fields: [(name: String, value: String)]) -> Bool {
        guard isOn.load(ordering: .acquiring) else { return false }
        let all =
            [("MESSAGE", message), ("PRIORITY", "\(priority)"), ("SYSLOG_IDENTIFIER", "devfs")]
            + fields
        let bytes = Self.entry(all)
        return unsafe bytes.withUnsafeBytes {
            unsafe cfuse_datagram_send(socket.raw, $0.baseAddress, $0.count, false) >= 0
        }
    }

    /// `NAME=VALUE`, or with the length of the value before it (64 bits, little-endian), as one with
    /// a newline would end early.
    static func entry(_ fields: [(name: String, value: String)]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (name, value) in fields {
            bytes += name.utf8
            if value.utf8.contains(UInt8(ascii: "\n")) {
                bytes.append(UInt8(ascii: "\n"))
                unsafe withUnsafeBytes(of: UInt64(value.utf8.count).littleEndian) {
                    unsafe bytes += $0
                }
            } else {
                bytes.append(UInt8(ascii: "="))
            }
            bytes += value.utf8
            bytes.append(UInt8(ascii: "\n"))
        }
        return bytes
    }
}
