import Glibc
import SystemPackage
import Testing

@testable import DevFS

extension Conformance {
    static let allocation: [Rule] = [
        Rule("new memory is zero, of its size and really there, in every heap") { device in
            let backend = try device.open()
            for heap in backend.sources {
                let made = try backend.make("a-\(heap.name)", size: 12345, heap: heap)
                let file = try backend.open(made)
                let status = try backend.status(of: made)
                #expect(status.isRegular && status.size == 12345)
                #expect(status.blocks * 512 >= 12345)
                #expect(try contents(of: file.raw) == [UInt8](repeating: 0, count: 12345))
            }
            #expect(try backend.buffers().count == backend.sources.count)
        },
        Rule("memory that was freed is zero for the next buffer that gets it") { device in
            let backend = try device.open()
            let all = try backend.status(of: .system).largest
            for round in 0..<3 {
                let made = try backend.make("b\(round)", size: all)
                let file = try backend.open(made)
                let bytes = try contents(of: file.raw)
                #expect(bytes.count == Int(all) && bytes.allSatisfy { $0 == 0 })
                let noise = [UInt8](repeating: 0xa5, count: Int(all))
                #expect(try backend.put(noise, to: file.raw) == Int(all))
                try backend.remove(made)
                _ = consume file
                backend.discard(made.id)
                backend.freed(made.id)
            }
        },
        Rule("a name that is taken is EEXIST, and the buffer that has it is untouched") { device in
            let backend = try device.open()
            let first = try backend.make("taken", size: 4096)
            let free = try backend.free()
            let file = try backend.open(first)
            #expect(try backend.put([1, 2, 3], to: file.raw) == 3)
            #expect(backend.refusal("taken", size: 8192)?.errno == .fileExists)
            #expect(try backend.buffers() == [first])
            #expect(try Array(contents(of: file.raw)[..<3]) == [1, 2, 3])
            #expect(try backend.free() == free)
        },
        Rule("more than the heap has is ENOSPC, the reason names the limit, and nothing changes") {
            device in
            let backend = try device.open()
            _ = try backend.make("small", size: 4096)
            let free = try backend.free()
            for size in [free + 1, device.size + 4096, 1 << 40, UInt64(Int64.max), UInt64.max] {
                for heap in backend.sources {
                    let refusal = backend.refusal("big", size: size, heap: heap)
                    #expect(refusal?.errno == .noSpace, "\(size) bytes")
                    #expect(refusal?.why.contains(Number.human(device.size)) == true)
                }
            }
            #expect(try backend.buffers().map(\.name.text) == ["small"])
            #expect(try backend.free() == free)
        },
        Rule("a size of 0 makes an empty buffer that takes no memory") { device in
            let backend = try device.open()
            let free = try backend.free()
            let made = try backend.make("empty", size: 0)
            #expect(try backend.status(of: made).size == 0)
            #expect(try backend.free() == free)
        },
        Rule("mode and owner are those asked for") { device in
            let backend = try device.open()
            for mode: UInt32 in [0o600, 0o644, 0o777, 0o000] {
                let made = try backend.make("m\(mode)", size: 1, mode: mode)
                let status = try backend.status(of: made)
                #expect(status.mode & 0o7777 == mode)
                #expect(status.uid == geteuid() && status.gid == getegid())
            }
        },
    ]

    static let memory: [Rule] = [
        Rule("what one descriptor writes every other reads") { device in
            let backend = try device.open()
            let made = try backend.make("shared", size: 8192)
            let writer = try backend.open(made)
            let reader = try backend.open(made)
            let text = Array("a device wrote this".utf8)
            #expect(try backend.put(text, to: writer.raw, at: 4090) == text.count)
            #expect(try Syscalls.bytes(of: reader.raw, at: 4090, count: text.count) == text)
            let mapping = try Mapping(of: reader.raw, count: 8192)
            #expect(unsafe Array(mapping.bytes(4090..<4090 + text.count)) == text)
        },
        Rule("growing gives zeros that are really there, shrinking gives memory back") { device in
            let backend = try device.open()
            let free = try backend.free()
            let made = try backend.make("grows", size: 5000)
            var taken = Footprint(device.kind, size: 5000)
            let file = try backend.open(made)
            #expect(try backend.put([UInt8](repeating: 7, count: 5000), to: file.raw) == 5000)
            try backend.resize(file.raw, to: 100_000)
            let status = try backend.status(of: made)
            #expect(status.size == 100_000 && status.blocks * 512 >= 100_000)
            try backend.resize(file.raw, to: 10)
            taken.resize(to: 100_000)
            taken.resize(to: 10)
            #expect(try backend.free() == free - taken.bytes)
            try backend.resize(file.raw, to: 6000)
            let expected = [UInt8](repeating: 7, count: 10) + [UInt8](repeating: 0, count: 5990)
            #expect(try contents(of: file.raw) == expected)
        },
        Rule("growing beyond the limit is ENOSPC and changes neither size nor bytes") { device in
            let backend = try device.open()
            let made = try backend.make("full", size: 4096)
            let file = try backend.open(made)
            #expect(try backend.put([9], to: file.raw) == 1)
            let free = try backend.free()
            for size in [free + 4097, device.size * 2, UInt64(Int64.max), UInt64.max] {
                let refusal = #expect(throws: Refusal.self) {
                    try backend.resize(file.raw, to: size)
                }
                #expect(refusal?.errno == .noSpace, "to \(size) bytes")
            }
            #expect(try backend.status(of: made).size == 4096)
            #expect(try contents(of: file.raw).first == 9)
            #expect(try backend.free() == free)
            try backend.resize(file.raw, to: free + 4096)
            #expect(try backend.free() == 0)
        },
        Rule("a write that the memory does not suffice for writes the part that fits") { device in
            let backend = try device.open()
            let rest = try backend.free()
            let made = try backend.make("partial", size: 0)
            let file = try backend.open(made)
            let bytes = [UInt8](repeating: 5, count: Int(rest))
            #expect(try backend.put(bytes, to: file.raw, at: 4096) == Int(rest) - 4096)
            #expect(try backend.status(of: made).size == rest)
            #expect(throws: Errno.noSpace) { try backend.put([1], to: file.raw, at: rest) }
            #expect(try backend.put([1], to: file.raw, at: rest - 1) == 1)
            #expect(try backend.free() == 0)
        },
        Rule("a full heap leaves the other buffers whole") { device in
            let backend = try device.open()
            let kept = try backend.make("kept", size: 10_000)
            let file = try backend.open(kept)
            let bytes = [UInt8](repeating: 3, count: 10_000)
            #expect(try backend.put(bytes, to: file.raw) == bytes.count)
            _ = try backend.make("rest", size: try backend.free())
            #expect(backend.refusal("one", size: 1)?.errno == .noSpace)
            #expect(try contents(of: file.raw) == bytes)
        },
        Rule("any range inside a buffer can be synced, both ways and in each direction") { device in
            let backend = try device.open()
            for heap in backend.sources {
                let made = try backend.make("s-\(heap.name)", size: 10_000, heap: heap)
                for direction in Direction.allCases {
                    for range: Range<UInt64> in [0..<10_000, 0..<1, 9_999..<10_000, 4095..<4097] {
                        try backend.sync(made, range, direction: direction, for: .cpu)
                        try backend.sync(made, range, direction: direction, for: .device)
                    }
                }
            }
        },
    ]
}
