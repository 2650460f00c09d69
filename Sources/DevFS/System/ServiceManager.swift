import CFuse
import Glibc
import SystemPackage

/// What a service of `Type=notify` tells the manager that started it. `sd_notify(3)`
package final class ServiceManager: Sendable {
    private let socket: SharedDescriptor

    /// Nil where nobody wants to be told. Programs that this process starts are not asked to.
    package init?() {
        guard let address = unsafe getenv("NOTIFY_SOCKET") else { return nil }
        let raw = unsafe cfuse_datagram_connect(address)
        unsafe unsetenv("NOTIFY_SOCKET")
        guard raw >= 0 else { return nil }
        socket = SharedDescriptor(Descriptor(owning: raw))
    }

    /// The mount answers; `status` is what `systemctl status` shows.
    package func ready(_ status: String) { tell(["READY=1", "STATUS=\(status)"]) }

    /// The server ends as it was told to.
    package func stopping() { tell(["STOPPING=1", "STATUS=Unmounting"]) }

    /// It could not be mounted, or served.
    package func failed(_ error: SetupError) {
        tell(["STATUS=\(error.description)", "ERRNO=\(error.errno.rawValue)"])
    }

    /// The same, for a reason without an errno.
    package func failed(_ why: String) { tell(["STATUS=\(why)"]) }

    private func tell(_ assignments: [String]) {
        // A line is an assignment, and names may have newlines.
        let lines = assignments.map(\.printable)
        let bytes = Array(lines.joined(separator: "\n").utf8)
        unsafe bytes.withUnsafeBytes {
            unsafe _ = cfuse_datagram_send(socket.raw, $0.baseAddress, $0.count, true)
        }
    }
}
