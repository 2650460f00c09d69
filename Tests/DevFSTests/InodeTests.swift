import SystemPackage
import Testing

@testable import DevFS

@Suite("Inode numbers", .timeLimit(.minutes(1)))
struct InodeTests {
    private static let small: [UInt64] = [1, 2, 255, 256, 1 << 25, 1 << 26 - 1]
    private static let large: [UInt64] = [1 << 26, 1 << 32, 1 << 48 - 1]

    /// Every node of a tree with some buffers, signals and streams.
    private func nodes(_ numbers: [UInt64] = small + large) -> [Node] {
        var nodes = Directory.allCases.map { Node.directory($0) }
        nodes += Layout.root.indices.map { .rootFile($0) }
        nodes += Layout.control.indices.map { .controlFile($0) }
        for heap in Heap.allCases {
            nodes.append(.heapDirectory(heap))
            nodes += Layout.heap.indices.map { .heapFile(heap, $0) }
        }
        for number in numbers {
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
        for node in nodes() { #expect(Node(node.inode) == node) }
    }

    @Test func `no two nodes share a number`() {
        let nodes = nodes()
        #expect(Set(nodes).count == nodes.count)
        #expect(Set(nodes.map(\.inode.number)).count == nodes.count)
    }

    @Test func `the root is 1 and nothing is 0`() {
        #expect(Node.directory(.root).inode.number == 1)
        #expect(Node(Inode(0)) == nil)
        #expect(!nodes().contains { $0.inode.number == 0 })
    }

    /// "They fit 32 bits"
    @Test func `the numbers of the first 67 million objects fit 32 bits, and no others do`() {
        for node in nodes(Self.small) { #expect(node.inode.number <= UInt32.max, "\(node)") }
        let fixed = nodes([])
        for node in nodes(Self.large) where !fixed.contains(node) {
            #expect(node.inode.number > UInt32.max, "\(node)")
        }
    }

    @Test func `a number for the kernel means the same file, and has another each time`() {
        for node in nodes() {
            let handles = Set((0..<8).map { _ in node.handle })
            #expect(handles.allSatisfy { Node($0) == node }, "\(node)")
            let isOwn = handles == [node.inode]
            #expect(isOwn || handles.count == 8, "\(node)")
        }
        #expect(Node.controlFile(0).handle != Node.controlFile(0).inode)
        let last = BufferID(1 << 26 - 1)
        #expect(Node.attribute(last, 0).handle != Node.attribute(last, 0).inode)
        // A file that takes no commands has no other number.
        #expect(Node(Inode(1 << 63 | Node.buffer(BufferID(1)).inode.number)) == nil)
        #expect(Node(Inode(1 << 63 | 1 << 62 | Node.controlFile(0).inode.number | 1 << 61)) != nil)
    }

    @Test(
        arguments: [
            0, 2 << 6, 1 << 6 | 1, 99 << 6 | 1, 77 << 6 | 4, (9 * 16) << 6 | 5,
            1 << 63, 1 << 62, 1 << 63 | 1 << 62, 1 << 63 | 1, UInt64.max << 6,
        ] as [UInt64])
    func `a number that nothing has is refused`(number: UInt64) {
        #expect(Node(Inode(number)) == nil)
    }

    @Test func `a number means a node only if it is the node's own`() {
        var random = SeededRandom(11)
        for step in 0..<20_000 {
            // Small fields make hits likely.
            let number = UInt64(random.below(200)) << 6 | UInt64(random.below(64))
            guard let node = Node(Inode(number)) else { continue }
            guard node.inode.number == number else {
                Issue.record("step \(step): \(number) is taken for \(node), \(node.inode.number)")
                return
            }
        }
    }
}
