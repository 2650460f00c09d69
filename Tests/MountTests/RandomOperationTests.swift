import Glibc
import Testing

extension MountTests {
    /// Random operations, each compared with what a model in memory does.
    @Suite struct RandomOperations {
        @Test(arguments: Mode.here)
        func `random operations do what the model does`(mode: Mode) throws {
            let given = unsafe getenv("DEVFS_SEED").flatMap { unsafe UInt64(String(cString: $0)) }
            let seed = given ?? UInt64.random(in: 0..<1_000_000)
            print("random operations: DEVFS_SEED=\(seed), \(mode)")
            try withMount(mode) { mount in
                var model = Model(mount, mode, seed: seed)
                for step in 0..<600 {
                    do {
                        try model.step()
                        if step % 150 == 149 { try model.remount(kill: step % 300 == 299) }
                    } catch {
                        Issue.record("DEVFS_SEED=\(seed), step \(step): \(error)\n\(model.trace)")
                        return
                    }
                }
                try model.compareAll()
            }
        }
    }
}

/// The buffers as they should be.
private struct Model {
    private struct Buffer: Equatable {
        var bytes: [UInt8]
        var isFixed: Bool
    }

    private let mount: Mount
    private let mode: Mode
    private var generator: SeededRandom
    private var buffers: [String: Buffer] = [:]
    private(set) var trace = ""
    private static let letters = ["a", "b", "c", "d", "e", "f"]
    private static let largest = 300_000

    init(_ mount: Mount, _ mode: Mode, seed: UInt64) {
        self.mount = mount
        self.mode = mode
        generator = SeededRandom(seed)
    }

    private mutating func below(_ limit: Int) -> Int {
        Int.random(in: 0..<max(limit, 1), using: &generator)
    }

    private mutating func bytes(_ count: Int) -> [UInt8] {
        pattern(count, seed: generator.next())
    }

    /// One operation, on the mount and on the model.
    mutating func step() throws {
        let name = Self.letters[below(Self.letters.count)]
        let operation = below(12)
        trace = String(trace.suffix(400)) + " \(operation):\(name)"
        guard var buffer = buffers[name] else {
            try create(name)
            return
        }
        switch operation {
        case 0, 1, 2: try write(name, &buffer, byMapping: false)
        case 3, 4: try write(name, &buffer, byMapping: mode == .passthrough)
        case 5, 6: try truncate(name, &buffer)
        case 7:
            try rename(name)
            return
        case 8:
            if below(2) == 0 {
                _ = try checked { unsafe unlink(mount.buffer(name)) }
            } else {
                try mount.put(name, "control/free")
            }
            buffers[name] = nil
            return
        case 9: try zero(name, &buffer)
        default: try compare(name, buffer)
        }
        buffers[name] = buffer
        if below(4) == 0 { try compare(name, buffer) }
    }

    private mutating func create(_ name: String) throws {
        let size = below(Self.largest) + 1
        switch below(3) {
        case 0:
            try mount.alloc("\(name) \(size)")
            buffers[name] = Buffer(bytes: zeros(size), isFixed: false)
        case 1:
            try mount.alloc("\(name) \(size) heap=contiguous")
            buffers[name] = Buffer(bytes: zeros(size), isFixed: true)
        default:
            let data = bytes(size)
            try mount.fill(name, data)
            buffers[name] = Buffer(bytes: data, isFixed: false)
        }
    }

    private mutating func write(
        _ name: String, _ buffer: inout Buffer, byMapping: Bool
    ) throws {
        let file = try mount.open("buffers/" + name)
        defer { file.close() }
        let offset = below(buffer.bytes.count + 5000)
        let data = bytes(below(20_000) + 1)
        if byMapping {
            let size = buffer.bytes.count
            if size == 0 { return }
            let at = below(size)
            let part = Array(data.prefix(size - at))
            let mapping = try Mapping(file, count: size)
            mapping.store(part, at: at)
            buffer.bytes.replaceSubrange(at..<at + part.count, with: part)
            return
        }
        let room = buffer.isFixed ? max(buffer.bytes.count - offset, 0) : data.count
        let part = Array(data.prefix(room))
        if part.isEmpty {
            try expect(ENOSPC, "write") { try file.write(data, at: offset) }
            return
        }
        let taken = try file.write(data, at: offset)
        try same(taken, part.count, "bytes taken")
        let end = offset + part.count
        if end > buffer.bytes.count { buffer.bytes += zeros(end - buffer.bytes.count) }
        buffer.bytes.replaceSubrange(offset..<end, with: part)
    }

    private mutating func truncate(_ name: String, _ buffer: inout Buffer) throws {
        let size = below(Self.largest)
        let path = mount.buffer(name)
        let call = { try checked { unsafe Glibc.truncate(path, size) } }
        if buffer.isFixed && size > buffer.bytes.count {
            try expect(ENOSPC, "truncate") { try call() }
            return
        }
        _ = try call()
        if size <= buffer.bytes.count {
            let count = buffer.bytes.count - size
            buffer.bytes.removeLast(count)
            // A fixed one keeps its size.
            if buffer.isFixed { buffer.bytes += zeros(count) }
        } else {
            buffer.bytes += zeros(size - buffer.bytes.count)
        }
    }

    private mutating func rename(_ name: String) throws {
        let new = Self.letters[below(Self.letters.count)]
        let call = { [mount] in
            try checked { unsafe Glibc.rename(mount.buffer(name), mount.buffer(new)) }
        }
        if new != name, let target = buffers[new], target.isFixed, let source = buffers[name],
            !source.isFixed || !target.bytes.isEmpty && source.bytes.count != target.bytes.count
        {
            try expect(EBUSY, "rename") { try call() }
            return
        }
        _ = try call()
        if new == name { return }
        buffers[new] = buffers.removeValue(forKey: name)
    }

    private mutating func zero(_ name: String, _ buffer: inout Buffer) throws {
        if buffer.bytes.isEmpty { return }
        let at = below(buffer.bytes.count)
        let count = min(below(50_000) + 1, buffer.bytes.count - at)
        let output = try mount.run(
            "fallocate", "-p", "-o", "\(at)", "-l", "\(count)", "buffers/\(name)")
        try same(output.status, 0, "fallocate: \(output.error)")
        buffer.bytes.replaceSubrange(at..<at + count, with: zeros(count))
    }

    mutating func remount(kill: Bool) throws {
        try mount.stop(kill ? SIGKILL : SIGTERM)
        try mount.start()
        try compareAll()
    }

    func compareAll() throws {
        try same(names(in: mount.path("buffers")), buffers.keys.sorted(), "names")
        for (name, buffer) in buffers { try compare(name, buffer) }
    }

    private func compare(_ name: String, _ buffer: Buffer) throws {
        try same(mount.size(name), buffer.bytes.count, "size of \(name)")
        let contents = try mount.contents(name)
        if contents != buffer.bytes {
            let at = zip(contents, buffer.bytes).enumerated().first { $1.0 != $1.1 }?.offset
            throw CommandFailure(description: "\(name) differs at \(at ?? -1)")
        }
    }

    private func same<Value: Equatable>(_ got: Value, _ want: Value, _ what: String) throws {
        if got != want { throw CommandFailure(description: "\(what): \(got) instead of \(want)") }
    }

    private func expect(_ code: Int32, _ what: String, _ call: () throws -> Int32) throws {
        do {
            _ = try call()
        } catch let error as Errno where error.code == code {
            return
        }
        throw CommandFailure(description: "\(what) was not refused with \(Errno(code))")
    }

    private func expect(_ code: Int32, _ what: String, _ call: () throws -> Int) throws {
        try expect(code, what) { () throws -> Int32 in
            _ = try call()
            return 0
        }
    }
}
