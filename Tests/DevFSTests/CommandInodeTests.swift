import SystemPackage
import Testing

@testable import DevFS

@Suite("Inodes of command files")
struct CommandInodeTests {
    private let inodes = CommandInodes()
    private let alloc = Node.file(.control, 0)

    @Test func `one that nobody has open is given again`() throws {
        let first = try #require(inodes.inode(of: alloc, by: 1))
        #expect(Node.isHandle(first) && Node(first) == alloc)
        #expect(inodes.inode(of: alloc, by: 1) == first)
        let free = try #require(inodes.inode(of: .file(.control, 1), by: 1))
        #expect(free != first)
    }

    @Test func `who looks up what is open gets another one`() throws {
        let first = try #require(inodes.inode(of: alloc, by: 1))
        var use = try inodes.enter(first, 1)
        let again = try inodes.enter(first, 1)
        let second = try #require(inodes.inode(of: alloc, by: 1))
        #expect(second != first && Node(second) == alloc)
        #expect(inodes.inode(of: alloc, by: 1) == second)
        // Two who looked it up while it was free: the second one has to look again.
        #expect(throws: Errno.staleNFSFileHandle) { _ = try inodes.enter(first, 2) }
        let other = try inodes.enter(second, 2)
        #expect(inodes.inode(of: alloc, by: 1) != second)
        use = nil
        #expect(throws: Errno.staleNFSFileHandle) { _ = try inodes.enter(first, 2) }
        withExtendedLifetime((use, again, other)) {}
    }

    @Test func `one is free again when the last who had it open has closed it`() throws {
        let first = try #require(inodes.inode(of: alloc, by: 1))
        do { _ = try inodes.enter(first, 1) }
        #expect(inodes.inode(of: alloc, by: 1) == first)
        #expect(try inodes.enter(first, 2) != nil)
    }

    @Test func `who looks up what another user has looked up gets another one`() throws {
        let first = try #require(inodes.inode(of: alloc, by: 1))
        let second = try #require(inodes.inode(of: alloc, by: 2))
        #expect(second != first)
        // Whoever opens first, none of the two is refused.
        let uses = (try inodes.enter(second, 2), try inodes.enter(first, 1))
        withExtendedLifetime(uses) {}
    }

    @Test func `other files have their own`() throws {
        #expect(inodes.inode(of: .folder(.control), by: 1) == nil)
        #expect(inodes.inode(of: .childFile(.attributes, 5, 0), by: 1) == nil)
        #expect(inodes.inode(of: .file(.root, 0), by: 1) == nil)
        #expect(try inodes.enter(Node.file(.root, 0).inode, 1) == nil)
    }
}
