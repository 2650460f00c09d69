/// An inode number of the mount. It says by itself what it is: no table of inodes is kept, and a
/// buffer has the same number over renames, remounts and the death of the server.
///
/// Bits 5:0 are what it is of an object (see `Node`), the rest is the object's number. The root is 1, as
/// FUSE wants it. So numbers fit 32 bits as long as objects have numbers below 2^26: programs without
/// large-file support get EOVERFLOW for larger ones.
package struct Inode: Hashable, Sendable {
    package let number: UInt64

    package init(_ number: UInt64) {
        self.number = number
    }
}
