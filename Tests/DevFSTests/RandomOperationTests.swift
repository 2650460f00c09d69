import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// What the manual says of buffers, in a dictionary.
private struct Model {
    struct Entry {
        var heap: Heap
        var bytes: [UInt8]
        var mode: UInt32
        var inode: UInt64
    }

    var entries: [String: Entry] = [:]
    /// Names whose buffer is open, with the number of descriptors.
    var opens: [String: Int] = [:]
    let limit = 64 << 10

    static func pages(_ count: Int) -> Int { (count + 4095) / 4096 * 4096 }
    var used: Int { entries.values.map { Self.pages($0.bytes.count) }.reduce(0, +) }

    /// What a change of one buffer's size may give.
    func resize(_ name: String, to size: Int, own: Int = 0) -> Errno? {
        guard let entry = entries[name] else { return .noSuchFileOrDirectory }
        let old = entry.bytes.count
        if size == old { return nil }
        if size < old {
            return entry.heap == .system && opens[name, default: 0] > own ? .resourceBusy : nil
        }
        if entry.heap != .system && old > 0 { return .noSpace }
        return used - Self.pages(old) + Self.pages(size) > limit ? .noSpace : nil
    }
}

@Suite("Random operations", .timeLimit(.minutes(1)))
struct RandomOperationTests {
    @Test(arguments: MemoryForm.available, [1, 2, 3] as [UInt64])
    func `the tree does what a model of the manual does`(form: MemoryForm, seed: UInt64) throws {
        try withTree(form, size: 64 << 10) { (client) throws in
            var run = Run(client: client, random: SeededRandom(seed))
            for step in 0..<3000 {
                let what = try run.step()
                guard let difference = try run.difference(isWhole: step.isMultiple(of: 50)) else {
                    continue
                }
                Issue.record("seed \(seed), step \(step), \(what): \(difference)")
                return
            }
            for (_, file) in run.files { file.close() }
        }
    }

    private struct Run {
        let client: Client
        var random: SeededRandom
        var model = Model()
        var files: [(String, any OpenFile)] = []
        var problem: String?
        static let names = ["a", "b", "c", "d", "e"]

        /// The errno of a call, nil where it succeeded.
        private func failure(_ body: () throws(Errno) -> Void) -> Errno? {
            do throws(Errno) {
                try body()
                return nil
            } catch {
                return error
            }
        }

        private mutating func compare(_ real: Errno?, _ expected: Errno?) {
            let names = [real, expected].map { $0.map(ErrnoName.of) ?? "success" }
            if real != expected { problem = "\(names[0]) instead of \(names[1])" }
        }

        /// One operation on both; what it was.
        mutating func step() throws -> String {
            let name = random.pick(Self.names)
            let size = random.below(5) == 0 ? random.below(80_000) : random.below(9000)
            switch random.below(12) {
            case 0, 1: return allocate(name, size)
            case 2: return remove(name)
            case 3, 4: return rename(name, random.pick(Self.names))
            case 5: return try open(name)
            case 6: return close()
            case 7: return truncate(name, size)
            case 8, 9: return try write(size)
            case 10: return try changeMode(name)
            default: return try create(name)
            }
        }

        private mutating func allocate(_ name: String, _ size: Int) -> String {
            let heap = random.pick([Heap.system, .contiguous, .coherent])
            let line = "\(name) \(size) heap=\(heap.name)"
            var expected: Errno?
            if size == 0 {
                expected = .invalidArgument
            } else if model.entries[name] != nil {
                expected = .fileExists
            } else if model.used + Model.pages(size) > model.limit {
                expected = .noSpace
            }
            compare(
                failure { () throws(Errno) in try client.write("control/alloc", line) }, expected)
            if expected == nil { add(name, heap, size, 0o644) }
            return "alloc \(line)"
        }

        private mutating func add(_ name: String, _ heap: Heap, _ size: Int, _ mode: UInt32) {
            let inode = try? client.status("buffers/\(name)").inode
            if model.entries.values.contains(where: { $0.inode == inode }) {
                problem = "number \(inode ?? 0) is another buffer's"
            }
            model.entries[name] = Model.Entry(
                heap: heap, bytes: [UInt8](repeating: 0, count: size), mode: mode,
                inode: inode ?? 0)
        }

        private mutating func create(_ name: String) throws -> String {
            guard model.entries[name] == nil else { return "nothing" }
            let file = try client.create(name, mode: 0o606)
            files.append((name, file))
            model.opens[name, default: 0] += 1
            add(name, .system, 0, 0o604)
            return "create \(name)"
        }

        /// Closes all descriptors of a buffer that loses its name: what is open afterwards is
        /// another test's business.
        private mutating func closeAll(_ name: String) {
            for (owner, file) in files where owner == name { file.close() }
            files.removeAll { $0.0 == name }
            model.opens[name] = nil
        }

        private mutating func remove(_ name: String) -> String {
            let isThere = model.entries[name] != nil
            let real: Errno?
            if random.below(2) == 0 {
                real = failure { () throws(Errno) in try client.unlink("buffers/\(name)") }
            } else {
                real = failure { () throws(Errno) in try client.write("control/free", name) }
            }
            compare(real, isThere ? nil : .noSuchFileOrDirectory)
            closeAll(name)
            model.entries[name] = nil
            return "remove \(name)"
        }

        private mutating func rename(_ old: String, _ new: String) -> String {
            let flags = random.pick([RenameFlags(), .noReplace, .exchange])
            guard old != new else { return "nothing" }
            let (source, target) = (model.entries[old], model.entries[new])
            var expected: Errno?
            if source == nil || (flags == .exchange && target == nil) {
                expected = .noSuchFileOrDirectory
            } else if flags == .noReplace && target != nil {
                expected = .fileExists
            } else if flags == [], let source, let target, target.heap != .system {
                let isAlike = target.heap == source.heap
                let (old, new) = (target.bytes.count, source.bytes.count)
                if !isAlike || old > 0 && old != new { expected = .resourceBusy }
            }
            let real = failure { () throws(Errno) in
                try client.rename("buffers/\(old)", "buffers/\(new)", flags)
            }
            compare(real, expected)
            if expected == nil {
                if flags != .exchange { closeAll(new) }
                (model.entries[new], model.entries[old]) = (
                    source, flags == .exchange ? target : nil
                )
                let opens = (model.opens[old], model.opens[new])
                (model.opens[new], model.opens[old]) = opens
                files = files.map { ($0.0 == old ? new : $0.0 == new ? old : $0.0, $0.1) }
            }
            return "rename \(old) \(new) \(flags.rawValue)"
        }

        private mutating func open(_ name: String) throws -> String {
            guard let entry = model.entries[name], files.count < 10 else { return "nothing" }
            let truncates = random.below(4) == 0
            var expected: Errno?
            if truncates && entry.heap == .system {
                expected = model.resize(name, to: 0)
                if expected == nil { model.entries[name]?.bytes = [] }
            } else if truncates {
                model.entries[name]?.bytes = [UInt8](repeating: 0, count: entry.bytes.count)
            }
            var file: (any OpenFile)?
            let flags = O_RDWR | (truncates ? O_TRUNC : 0)
            let real = failure { () throws(Errno) in
                file = try client.open("buffers/\(name)", flags)
            }
            compare(real, expected)
            if let file {
                files.append((name, file))
                model.opens[name, default: 0] += 1
            }
            return "open \(name) truncates=\(truncates)"
        }

        private mutating func close() -> String {
            guard !files.isEmpty else { return "nothing" }
            let (name, file) = files.remove(at: random.below(files.count))
            file.close()
            model.opens[name, default: 0] -= 1
            return "close \(name)"
        }

        private mutating func truncate(_ name: String, _ size: Int) -> String {
            // By name, by an open file, or by the attribute.
            let way = random.below(3)
            let file = way == 1 ? files.first { $0.0 == name }?.1 : nil
            let expected = model.resize(name, to: size, own: file == nil ? 0 : 1)
            let real = failure { () throws(Errno) in
                if way == 2 {
                    try client.write("attributes/\(name)/size", "\(size)")
                } else {
                    try client.truncate("buffers/\(name)", to: UInt64(size), file)
                }
            }
            compare(real, expected)
            if expected == nil, let old = model.entries[name]?.bytes {
                // A fixed one keeps its size.
                let keeps = model.entries[name]?.heap != .system && size < old.count
                let zeros = [UInt8](repeating: 0, count: abs(size - old.count))
                model.entries[name]?.bytes =
                    old.prefix(size) + (keeps || size > old.count ? zeros : [])
            }
            return "truncate \(name) \(size) way \(way)"
        }

        private mutating func write(_ size: Int) throws -> String {
            guard !files.isEmpty else { return "nothing" }
            let (name, file) = files[random.below(files.count)]
            guard let entry = model.entries[name] else { return "nothing" }
            // Up to the end: what a hole takes of the limit differs.
            let offset = random.below(entry.bytes.count + 1)
            let bytes = random.bytes(1 + size % 6000)
            let room =
                entry.heap == .system
                ? model.limit - model.used + Model.pages(entry.bytes.count) : entry.bytes.count
            let fits = max(0, min(bytes.count, room - offset))
            var done = 0
            let real = failure { () throws(Errno) in
                done = try file.write(bytes, at: UInt64(offset))
            }
            compare(real, fits == 0 ? .noSpace : nil)
            if done != fits { problem = "wrote \(done) bytes instead of \(fits)" }
            var after = entry.bytes
            let overlap = min(fits, after.count - offset)
            after.replaceSubrange(offset..<offset + overlap, with: bytes[..<fits])
            model.entries[name]?.bytes = after
            return "write \(name) \(bytes.count) at \(offset)"
        }

        private mutating func changeMode(_ name: String) throws -> String {
            let mode = UInt32(random.below(0o1000))
            let real = failure { () throws(Errno) in
                try client.change("buffers/\(name)") { $0.mode = mode }
            }
            compare(real, model.entries[name] == nil ? .noSuchFileOrDirectory : nil)
            model.entries[name]?.mode = mode
            return "chmod \(name)"
        }

        /// Where tree and model differ; nil is nowhere.
        func difference(isWhole: Bool) throws -> String? {
            if let problem { return problem }
            let names = try client.list("buffers").sorted()
            guard names == model.entries.keys.sorted() else { return "names \(names)" }
            let free = try client.tree.space().free
            guard Int(free) == model.limit - model.used else {
                return "free \(free), expected \(model.limit - model.used)"
            }
            for (name, entry) in model.entries {
                let status = try client.status("buffers/\(name)")
                let isSame =
                    status.size == entry.bytes.count && status.mode & 0o7777 == entry.mode
                    && status.inode == entry.inode
                guard isSame else { return "\(name): \(status)" }
                guard isWhole else { continue }
                guard try client.bytes("buffers/\(name)") == entry.bytes else {
                    return "bytes of \(name)"
                }
                let values = try ["heap", "refs"].map {
                    try client.read("attributes/\(name)/\($0)")
                }
                guard values == ["\(entry.heap.name)\n", "\(model.opens[name] ?? 0)\n"] else {
                    return "\(name): \(values)"
                }
            }
            return nil
        }
    }
}
