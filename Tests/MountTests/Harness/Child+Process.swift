import Glibc

/// A child as /proc shows it.
extension Child {
    /// Waits until it has a descriptor whose path ends with `suffix` and sleeps.
    func waitsOn(_ suffix: String) -> Bool {
        holds { self.descriptors.contains { $0.hasSuffix(suffix) } && self.state == "S" }
    }

    /// Where its descriptors lead.
    var descriptors: [String] {
        names(in: "/proc/\(pid)/fd").map { target(of: "/proc/\(pid)/fd/\($0)") }
    }

    /// The state letter of proc_pid_stat(5).
    var state: Character? {
        guard let stat = try? text(of: "/proc/\(pid)/stat") else { return nil }
        return stat.split(separator: ")").last?.first { $0 != " " }
    }
}
