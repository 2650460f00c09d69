import DevFS
import Glibc
import SystemPackage

/// What this process was started with.
enum Environment {
    static func variable(_ name: String) -> String? {
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }

    /// Directories of PATH.
    static var path: [String] {
        variable("PATH").map { $0.split(separator: ":").map(String.init) } ?? []
    }

    /// "this container" in one, by the marks that docker, podman and systemd leave there.
    static var container: String? {
        let marks = ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"]
        return marks.contains { Syscalls.isAccessible($0, F_OK) } ? "this container" : nil
    }
}

/// The leading numbers of a version such as `6.12.4-amd64`; `6.9` is before `6.12`.
struct Version: Comparable {
    private let numbers: [Int]

    init(_ text: String) {
        let leading = text.prefix { $0.isNumber || $0 == "." }
        numbers = leading.split(separator: ".").compactMap { Int($0) }
    }

    static func < (left: Version, right: Version) -> Bool {
        left.numbers.lexicographicallyPrecedes(right.numbers)
    }
}
