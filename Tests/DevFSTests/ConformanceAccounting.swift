import Glibc
import SystemPackage
import Testing

@testable import DevFS

extension Conformance {
    static let accounting: [Rule] = [
        Rule("the space that is used is what is allocated, in whole pages") { device in
            let backend = try device.open()
            let before = try backend.space()
            #expect(before.size == device.size)
            #expect(before.free == device.size)
            var pages: UInt64 = 0
            for size: UInt64 in [1, 4095, 4096, 4097, 100_000] {
                _ = try backend.make("s\(size)", size: size)
                pages += (size + 4095) / 4096
                #expect(try backend.free() == device.size - pages * 4096)
            }
        },
        Rule("a buffer that is removed while it is open counts until it is closed") { device in
            let backend = try device.open()
            let free = try backend.free()
            let made = try backend.make("open", size: 1 << 20)
            let file = try backend.open(made)
            try backend.remove(made)
            #expect(try backend.free() == free - 1 << 20)
            #expect(try backend.status(of: .system).used == 1 << 20)
            _ = consume file
            backend.discard(made.id)
            backend.freed(made.id)
            #expect(try backend.free() == free)
            #expect(try backend.status(of: .system).used == 0)
        },
        Rule("a heap's used is what is allocated in it, and largest what can be had") { device in
            let backend = try device.open()
            for (index, heap) in backend.sources.enumerated() {
                let before = try backend.status(of: heap)
                #expect(before.used == 0)
                _ = try backend.make("h\(index)", size: 8192, heap: heap)
                let after = try backend.status(of: heap)
                #expect(after.size == before.size && after.used == 8192)
                #expect(after.largest <= after.size - after.used)
                #expect(backend.refusal("more", size: after.largest + 1, heap: heap) != nil)
                let all = try backend.make("all", size: after.largest, heap: heap)
                try backend.remove(all)
                backend.discard(all.id)
                backend.freed(all.id)
            }
        },
        Rule("a thousand random changes leave the account exact") { device in
            let seed: UInt64 = 20_261_124
            var random = SeededRandom(seed)
            let backend = try device.open()
            let whole = try backend.free()
            var slots: [Int: (buffer: BufferDescription, size: UInt64, taken: Footprint)] = [:]
            for step in 0..<1000 {
                let slot = random.below(8)
                let size = UInt64(random.below(700_000))
                if let old = slots[slot] {
                    if random.below(3) == 0 {
                        try backend.remove(old.buffer)
                        backend.discard(old.buffer.id)
                        backend.freed(old.buffer.id)
                        slots[slot] = nil
                    } else {
                        let file = try backend.open(old.buffer)
                        do {
                            try backend.resize(file.raw, to: size)
                            slots[slot]?.size = size
                            slots[slot]?.taken.resize(to: size)
                        } catch let refusal as Refusal {
                            #expect(refusal.errno == .noSpace && size > old.size)
                        }
                    }
                } else if let made = try? backend.make("r\(slot)", size: size) {
                    slots[slot] = (made, size, Footprint(device.kind, size: size))
                }
                let used = slots.values.map(\.taken.bytes).reduce(0, +)
                #expect(try backend.free() == whole - used, "seed \(seed), step \(step)")
            }
        },
    ]

    static let addresses: [Rule] = [
        Rule("an address is ENODATA or real: none is made up") { device in
            let backend = try device.open()
            let made = try backend.make("addressed", size: 8192)
            func value<T>(_ body: () throws(Errno) -> T) -> Result<T, Errno> {
                do throws(Errno) { return .success(try body()) } catch { return .failure(error) }
            }
            let list = value { () throws(Errno) in try backend.scatterGather(of: made) }
            switch list {
            case .success(let entries):
                #expect(entries.map(\.1).reduce(0, +) == 8192)
                let address = value { () throws(Errno) in try backend.dmaAddress(of: made) }
                let expected: Result<UInt64, Errno> =
                    entries.count == 1 ? .success(entries[0].0) : .failure(.noData)
                #expect(address == expected)
            case .failure(let error):
                #expect(error == .noData)
                #expect(throws: Errno.noData) { try backend.dmaAddress(of: made) }
                #expect(throws: Errno.noData) { try backend.physicalAddress(of: made) }
            }
            #expect(try backend.numaNode(of: made) >= -1)
        }
    ]
}
