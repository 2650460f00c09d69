import Glibc
import SystemPackage
import Testing

@testable import DevFS

extension Conformance {
    private static func moved(_ buffer: BufferDescription, to name: String) throws
        -> BufferDescription
    {
        BufferDescription(
            id: buffer.id, name: try #require(Name(name)), traits: buffer.traits)
    }

    static let names: [Rule] = [
        Rule("a removed buffer has no name, and its bytes live on for whoever has it open") {
            device in
            let backend = try device.open()
            let made = try backend.make("gone", size: 4096)
            let file = try backend.open(made)
            #expect(try backend.put([4, 2], to: file.raw) == 2)
            try backend.remove(made)
            #expect(try backend.buffers().isEmpty)
            #expect(throws: Errno.noSuchFileOrDirectory) { try backend.status(of: made) }
            #expect(throws: Errno.noSuchFileOrDirectory) { try backend.open(made).raw }
            switch device.kind {
            case .memory, .vfio:
                #expect(throws: Errno.noSuchFileOrDirectory) { try backend.remove(made) }
            case .kernel:
                // The module ends leases by itself: what it has freed is removed already.
                try backend.remove(made)
            }
            #expect(try contents(of: file.raw)[..<2] == [4, 2])
            let next = try backend.make("gone", size: 4096)
            #expect(next.id != made.id)
            let fresh = try backend.open(next)
            #expect(try contents(of: fresh.raw)[..<2] == [0, 0])
        },
        Rule("a rename keeps number, bytes and traits") { device in
            let backend = try device.open()
            let made = try backend.make("old", size: 4096, direction: .toDevice)
            let file = try backend.open(made)
            #expect(try backend.put([8], to: file.raw) == 1)
            try backend.rename(made, to: try #require(Name("new")), flags: [])
            let after = try Self.moved(made, to: "new")
            #expect(try backend.buffers() == [after])
            #expect(try backend.status(of: after).size == 4096)
            #expect(try contents(of: file.raw).first == 8)
            let again = try backend.open(after)
            #expect(try contents(of: again.raw).first == 8)
        },
        Rule("a rename to a name that is taken frees what had it") { device in
            let backend = try device.open()
            let source = try backend.make("source", size: 4096)
            let target = try backend.make("target", size: 8192)
            let free = try backend.free()
            try backend.rename(source, to: target.name, flags: [])
            backend.discard(target.id)
            backend.freed(target.id)
            #expect(try backend.buffers() == [try Self.moved(source, to: "target")])
            #expect(try backend.free() == free + 8192)
        },
        Rule("RENAME_NOREPLACE to a name that is taken is EEXIST and changes nothing") { device in
            let backend = try device.open()
            let one = try backend.make("one", size: 1)
            let two = try backend.make("two", size: 2)
            #expect(throws: Errno.fileExists) {
                try backend.rename(one, to: two.name, flags: .noReplace)
            }
            #expect(Set(try backend.buffers().map(\.name)) == [one.name, two.name])
            try backend.rename(one, to: try #require(Name("three")), flags: .noReplace)
            #expect(Set(try backend.buffers().map(\.name.text)) == ["two", "three"])
        },
        Rule("RENAME_EXCHANGE swaps two names, and is ENOENT where one is missing") { device in
            let backend = try device.open()
            let one = try backend.make("one", size: 1)
            let two = try backend.make("two", size: 2)
            try backend.rename(one, to: two.name, flags: .exchange)
            #expect(try backend.status(of: try Self.moved(one, to: "two")).size == 1)
            #expect(try backend.status(of: try Self.moved(two, to: "one")).size == 2)
            #expect(throws: Errno.noSuchFileOrDirectory) {
                try backend.rename(
                    try Self.moved(one, to: "two"), to: try #require(Name("no")), flags: .exchange)
            }
            #expect(throws: Errno.invalidArgument) {
                try backend.rename(
                    try Self.moved(one, to: "two"), to: try #require(Name("one")),
                    flags: [.exchange, .noReplace])
            }
            #expect(try backend.buffers().count == 2)
        },
        Rule("a buffer is opened by its number, whatever its name is by now") { device in
            let backend = try device.open()
            let one = try backend.make("one", size: 1)
            let two = try backend.make("two", size: 2)
            try backend.rename(one, to: two.name, flags: .exchange)
            #expect(try backend.status(of: one).size == 1)
            #expect(try backend.status(of: two).size == 2)
            try backend.remove(one)
            #expect(throws: Errno.noSuchFileOrDirectory) { try backend.status(of: one) }
            #expect(try backend.status(of: two).size == 2)
        },
        Rule("numbers are not zero, fit 48 bits, and are never given twice") { device in
            let backend = try device.open()
            var seen: Set<BufferID> = []
            for round in 0..<300 {
                let made = try backend.make("n", size: 1)
                #expect((1..<1 << 48).contains(made.id.number))
                #expect(seen.insert(made.id).inserted, "round \(round)")
                try backend.remove(made)
                backend.discard(made.id)
                backend.freed(made.id)
            }
        },
    ]

    static let persistence: [Rule] = [
        Rule("a new backend finds numbers, names, traits, owners, modes, times and bytes again") {
            device in
            var made: [BufferDescription] = []
            var statuses: [FileStatus] = []
            var free: UInt64 = 0
            let bytes = [UInt8](repeating: 0x5a, count: 9000)
            do {
                let backend = try device.open()
                for (index, heap) in backend.sources.enumerated() {
                    var buffer = try backend.make(
                        "p-\(heap.name)", size: 9000, heap: heap, direction: .fromDevice,
                        mode: 0o604)
                    buffer.traits.lease = .process
                    try backend.setTraits(buffer.traits, of: buffer)
                    let file = try backend.open(buffer)
                    #expect(try backend.put(bytes, to: file.raw) == bytes.count)
                    let time = Timestamp(seconds: 1_000_000_000 + index, nanoseconds: 123_456_789)
                    try Syscalls.setTimes(file.raw, accessed: time, modified: time)
                    made.append(buffer)
                    statuses.append(try backend.status(of: buffer))
                }
                free = try backend.free()
            }
            let backend = try device.open()
            let found = try backend.buffers()
            #expect(found.sorted { $0.id < $1.id } == made.sorted { $0.id < $1.id })
            for (buffer, before) in zip(made, statuses) {
                let now = try backend.status(of: buffer)
                var expected = before
                // docs/reference/vfio.md: "The times of its files are those of the mount."
                if device.kind == .vfio {
                    expected.accessed = now.accessed
                    (expected.modified, expected.changed) = (now.modified, now.changed)
                }
                #expect(now == expected)
                let file = try backend.open(buffer)
                #expect(try contents(of: file.raw) == bytes)
            }
            #expect(try backend.free() == free)
        },
        Rule("what was removed and renamed stays so in a new backend") { device in
            do {
                let backend = try device.open()
                let one = try backend.make("one", size: 1)
                try backend.remove(try backend.make("two", size: 2))
                try backend.rename(one, to: try #require(Name("three")), flags: [])
            }
            #expect(try device.open().buffers().map(\.name.text) == ["three"])
        },
        Rule("numbers of a new backend are none of the old one's") { device in
            var old: Set<BufferID> = []
            for name in ["a", "b", "c"] {
                let backend = try device.open()
                let made = try backend.make(name, size: 1)
                #expect(old.insert(made.id).inserted)
                try backend.remove(made)
            }
        },
        Rule("memory that a dead server's clients had open is free in a new backend") { device in
            var free: UInt64 = 0
            do {
                let backend = try device.open()
                free = try backend.free()
                let made = try backend.make("open", size: 1 << 20)
                let file = try backend.open(made)
                try backend.remove(made)
                #expect(try backend.free() == free - 1 << 20)
                _ = file.raw
            }
            let backend = try device.open()
            #expect(try holds { try backend.free() == free })
        },
    ]
}
