import SystemPackage
import Testing

@testable import DevFS

@Suite("Inodes of command files")
struct CommandInodeTests {
    private let inodes = CommandInodes()
    private let alloc = Node.file(.control, 0)

    @Test func `one that nobody has open is given again`() throws {
        let first = try #require(inodes.inode(of: alloc))
        #expect(Node.isHandle(first) && Node(first) == alloc)
        #expect(inodes.inode(of: alloc) == first)
        let free = try #require(inodes.inode(of: .file(.control, 1)))
        #expect(free != first)
    }

    @Test func `who looks up what is open gets another one`() throws {
        let first = try #require(inodes.inode(of: alloc))
        var use = try inodes.enter(first, 1)
        let again = try inodes.enter(first, 1)
        let second = try #require(inodes.inode(of: alloc))
        #expect(second != first && Node(second) == alloc)
        #expect(inodes.inode(of: alloc) == second)
        // Two who looked it up while it was free: the second one has to look again.
        #expect(throws: Errno.staleNFSFileHandle) { _ = try inodes.enter(first, 2) }
        let other = try inodes.enter(second, 2)
        #expect(inodes.inode(of: alloc) != second)
        use = nil
        #expect(throws: Errno.staleNFSFileHandle) { _ = try inodes.enter(first, 2) }
        withExtendedLifetime((use, again, other)) {}
    }

    @Test func `one is free again when the last who had it open has closed it`() throws {
        let first = try #require(inodes.inode(of: alloc))
        do { _ = try inodes.enter(first, 1) }
        #expect(inodes.inode(of: alloc) == first)
        #expect(try inodes.enter(first, 2) != nil)
    }

    @Test func `other files have their own`() throws {
        #expect(inodes.inode(of: .folder(.control)) == nil)
        #expect(inodes.inode(of: .childFile(.attributes, 5, 0)) == nil)
        #expect(inodes.inode(of: .file(.root, 0)) == nil)
        #expect(try inodes.enter(Node.file(.root, 0).inode, 1) == nil)
    }
}
