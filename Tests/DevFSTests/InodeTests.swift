import SystemPackage
import Testing

@testable import DevFS

@Suite("Inode numbers", .timeLimit(.minutes(1)))
struct InodeTests {
    /// Every node of a tree with some buffers, signals and streams.
    private var nodes: [Node] {
        var nodes = Directory.allCases.map { Node.directory($0) }
        nodes += Layout.root.indices.map { .rootFile($0) }
        nodes += Layout.control.indices.map { .controlFile($0) }
        for heap in Heap.allCases {
            nodes.append(.heapDirectory(heap))
            nodes += Layout.heap.indices.map { .heapFile(heap, $0) }
        }
        for number: UInt64 in [1, 2, 255, 256, 1 << 32, 1 << 48 - 1] {
            let (buffer, signal, stream) = (
                BufferID(number), SignalID(number: number), StreamID(number: number)
            )
            nodes += [.buffer(buffer), .attributes(buffer), .signal(signal), .stream(stream)]
            nodes.append(.region(Int(number)))
            nodes += Layout.attributes.indices.map { .attribute(buffer, $0) }
            nodes += Layout.signal.indices.map { .signalFile(signal, $0) }
            nodes += Layout.stream.indices.map { .streamFile(stream, $0) }
        }
        return nodes
    }

    @Test func `every node is found again by its number`() {
        for node in nodes { #expect(Node(node.inode) == node) }
    }

    @Test func `no two nodes share a number`() {
        let nodes = nodes
        #expect(Set(nodes).count == nodes.count)
        #expect(Set(nodes.map(\.inode.number)).count == nodes.count)
    }

    @Test func `the root is 1 and nothing is 0`() {
        #expect(Node.directory(.root).inode.number == 1)
        #expect(Node(Inode(0)) == nil)
        #expect(!nodes.contains { $0.inode.number == 0 })
    }

    @Test(
        arguments: [
            0, 2, 255, 256, 1 << 55, 1 << 56, 1 << 56 | 1 << 8, 1 << 56 | 99 << 8,
            4 << 56 | 77 << 8,
            5 << 56 | 9 << 8, 13 << 56 | 1, 14 << 56, 255 << 56, UInt64.max,
        ] as [UInt64])
    func `a number that nothing has is refused`(number: UInt64) {
        #expect(Node(Inode(number)) == nil)
    }

    @Test func `a number means a node only if it is the node's own`() {
        var random = SeededRandom(11)
        for step in 0..<20_000 {
            // Small fields make hits likely.
            let number =
                UInt64(random.below(15)) << 56 | UInt64(random.below(9)) << 8
                | UInt64(random.below(30))
            guard let node = Node(Inode(number)) else { continue }
            guard node.inode.number == number else {
                Issue.record("step \(step): \(number) is taken for \(node), \(node.inode.number)")
                return
            }
        }
    }
}
