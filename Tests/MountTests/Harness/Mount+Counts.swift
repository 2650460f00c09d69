import Glibc

/// What the server of a mount did while a test did something.
extension Mount {
    /// FUSE requests by operation, those of reading `metrics` left out.
    func requests(_ body: () throws -> Void) throws -> [String: Int] {
        // One open file: looking its path up takes more requests or fewer, as the kernel may take what it
        // knows of the directories for true for a moment.
        let metrics = try open("metrics", O_RDONLY)
        defer { metrics.close() }
        // Two readings in a row that cost the same: nothing else is on its way.
        var last = try readRequests(metrics)
        var own: [String: Int] = [:]
        try steady {
            let next = try readRequests(metrics)
            defer { (own, last) = (Self.difference(next, last), next) }
            return Self.difference(next, last) == own
        }
        let before = last
        try body()
        var readings = 0
        try steady {
            let next = try readRequests(metrics)
            readings += 1
            defer { last = next }
            return readings > 1 && Self.difference(next, last) == own
        }
        return Self.difference(
            last, before.merging(own.mapValues { $0 * readings }, uniquingKeysWith: +))
    }

    private func steady(_ condition: () throws -> Bool) throws {
        var failure: (any Error)?
        let isSteady = holds {
            do {
                return try condition()
            } catch {
                failure = error
                return true
            }
        }
        if let failure { throw failure }
        if !isSteady { throw CommandFailure(description: "requests come without an end") }
    }

    /// `left` less `right`, without those that are equal.
    private static func difference(_ left: [String: Int], _ right: [String: Int]) -> [String: Int] {
        left.merging(right.mapValues { -$0 }, uniquingKeysWith: +).filter { $0.value != 0 }
    }

    private func readRequests(_ metrics: OpenFile) throws -> [String: Int] {
        var counts: [String: Int] = [:]
        let prefix = "devfs_requests_total{operation=\""
        let text = String(decoding: try metrics.read(1 << 16, at: 0), as: UTF8.self)
        for line in text.split(separator: "\n")
        where line.hasPrefix(prefix) {
            let parts = line.dropFirst(prefix.count).split(separator: "\"} ")
            counts[String(parts[0])] = Int(parts[1])
        }
        return counts
    }

    /// How often threads of the server have gone to sleep so far, and so were woken.
    var wakeUps: Int {
        let tasks = "/proc/\(server.pid)/task"
        return names(in: tasks).reduce(0) { sum, task in
            let status = (try? text(of: "\(tasks)/\(task)/status")) ?? ""
            let line = status.split(separator: "\n").first {
                $0.hasPrefix("voluntary_ctxt_switches:")
            }
            return sum + (line?.split(separator: "\t").last.flatMap { Int($0) } ?? 0)
        }
    }

    /// System calls of the server: of all kinds, and of each.
    func systemCalls(_ body: () throws -> Void) throws -> (total: Int, calls: [String: Int]) {
        let report = directory + "/strace"
        let strace = try Child(["strace", "-f", "-c", "-o", report, "-p", "\(server.pid)"])
        guard holds({ strace.errorSoFar.contains("attached") || !strace.runs }), strace.runs else {
            throw CommandFailure(description: "strace: \(strace.errorSoFar)")
        }
        try body()
        strace.signal(SIGINT)
        try strace.wait()
        var calls: [String: Int] = [:]
        for line in try text(of: report).split(separator: "\n") {
            // % time, seconds, usecs/call, calls, [errors,] name
            let words = line.split(separator: " ")
            guard words.count >= 5, let count = Int(words[3]), let name = words.last else {
                continue
            }
            calls[String(name)] = count
        }
        guard let total = calls.removeValue(forKey: "total") else {
            throw CommandFailure(description: "strace wrote no total")
        }
        return (total, calls)
    }
}

/// What counts beside the server.
enum Tools {
    static let canTrace = Machine.shell("strace -o /dev/null true") != nil

    static let hasNode = Machine.shell("node --version") != nil

    /// The library that counts allocations when it is preloaded; nil where it can't be built.
    static let allocationCounter: String? = {
        let library = "\(Janitor.prefix)allocations.so"
        let source = "\(Machine.package)/Tests/Counters/allocations.c"
        let build = "cc -O2 -shared -fPIC -o \(library) \(source)"
        return Machine.shell(build).map { _ in library }
    }()

    /// A 32-bit program that walks a tree; nil where it can't be built.
    static let smallWalker: String? = {
        let program = "\(Janitor.prefix)walk"
        let source = "\(Machine.package)/Tests/Counters/walk.c"
        return Machine.shell("gcc -m32 -O2 -Wall -Werror -o \(program) \(source)").map { _ in
            program
        }
    }()
}

/// Runs `body` on a mount whose heap allocations are counted.
func withCountedMount(_ mode: Mode, body: (Mount, () -> Int) throws -> Void) throws {
    guard let library = Tools.allocationCounter else {
        throw CommandFailure(description: "the counter of allocations is missing")
    }
    let word = try Scratch()
    let file = "/proc/\(getpid())/fd/\(word.descriptor)"
    _ = try checked { ftruncate(word.descriptor, 8) }
    let mount = try Mount(
        mode, [], environment: ["LD_PRELOAD=\(library)", "DEVFS_ALLOCATIONS=\(file)"])
    defer { mount.tearDown() }
    try body(mount) {
        word.contents().enumerated().reduce(0) { $0 | Int($1.element) << ($1.offset * 8) }
    }
}
