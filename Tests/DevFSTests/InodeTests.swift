import SystemPackage
import Testing

@testable import DevFS

@Suite("Inode numbers", .timeLimit(.minutes(1)))
struct InodeTests {
    private static let small: [UInt64] = [1, 2, 255, 256, 1 << 25, 1 << 26 - 1]
    private static let large: [UInt64] = [1 << 26, 1 << 32, 1 << 48 - 1]

    /// Every node of a tree with some buffers, signals and streams.
    private func nodes(_ numbers: [UInt64] = small + large) -> [Node] {
        var nodes = Directory.allCases.map { Node.folder($0) }
        for folder in Layout.folders {
            let directory = folder.directory
            nodes +=
                (folder.files?.names.indices).map(Array.init)?.map { .file(directory, $0) } ?? []
            guard let children = folder.children else { continue }
            let rows = children.files?.names.count ?? 0
            for number in directory == .heaps ? Heap.allCases.map({ UInt64($0.rawValue) }) : numbers
            {
                nodes.append(.child(directory, number))
                nodes += (0..<rows).map { .childFile(directory, number, $0) }
            }
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

    /// Each folder is in the table at the place of its number, and inside the one it says.
    @Test func `the table has every folder once, in the order of their numbers`() {
        #expect(Layout.folders.map(\.directory) == Directory.allCases)
        for folder in Layout.folders where folder.directory != .root {
            #expect(folder.parent != folder.directory && !folder.name.isEmpty)
        }
    }

    /// Numbers that clients may have kept from earlier versions.
    @Test func `numbers are what they were`() {
        let known: [(Node, UInt64)] = [
            (.folder(.buffers), 2 << 6 | 1), (.file(.root, 3), 3 << 6 | 2),
            (.file(.control, 6), 6 << 6 | 3), (.child(.heaps, 2), 2 << 6 | 4),
            (.childFile(.heaps, 2, 3), (2 * 16 + 3) << 6 | 5), (.child(.regions, 7), 7 << 6 | 6),
            (.child(.signals, 9), 9 << 6 | 7), (.childFile(.signals, 9, 5), 9 << 6 | 13),
            (.child(.streams, 9), 9 << 6 | 16), (.childFile(.streams, 9, 5), 9 << 6 | 22),
            (.child(.buffers, 9), 9 << 6 | 25), (.child(.attributes, 9), 9 << 6 | 26),
            (.childFile(.attributes, 9, 20), 9 << 6 | 47),
        ]
        for (node, number) in known { #expect(node.inode.number == number, "\(node)") }
    }

    @Test func `the root is 1 and nothing is 0`() {
        #expect(Node.folder(.root).inode.number == 1)
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
        #expect(Node.file(.control, 0).handle != Node.file(.control, 0).inode)
        let last = Node.childFile(.attributes, 1 << 26 - 1, 0)
        #expect(last.handle != last.inode)
        // A file that takes no commands has no other number.
        #expect(Node(Inode(1 << 63 | Node.buffer(BufferID(1)).inode.number)) == nil)
        #expect(
            Node(Inode(1 << 63 | 1 << 62 | Node.file(.control, 0).inode.number | 1 << 61)) != nil)
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
