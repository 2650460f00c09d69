import CFuse
import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// A client of the socket that hands out descriptors.
final class Peer {
    let socket: Descriptor

    init(_ path: String) throws {
        socket = Descriptor(
            owning: try check { Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0) })
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        try check {
            unsafe withUnsafePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe connect(socket.raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        }
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        try check {
            unsafe setsockopt(
                socket.raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    /// A line with a descriptor of our own beside it (SCM_RIGHTS).
    func send(_ line: String, with descriptor: CInt) throws {
        let bytes = Array("\(line)\n".utf8)
        try check { unsafe cfuse_send_fd(socket.raw, bytes, bytes.count, descriptor) }
    }

    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = Array(rest)
            let count = unsafe Glibc.send(socket.raw, part, part.count, CInt(MSG_NOSIGNAL))
            // The server drops a peer that says too much.
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// One line of the answer without its newline, and the descriptor that came with it; nil at
    /// the end.
    func receive() -> (String, SharedDescriptor?)? {
        var line: [UInt8] = []
        var given: CInt = -1
        while line.last != UInt8(ascii: "\n") {
            var byte: UInt8 = 0
            var control = [UInt64](repeating: 0, count: 4)
            let count = unsafe withUnsafeMutablePointer(to: &byte) { byte in
                var vector = unsafe iovec(iov_base: byte, iov_len: 1)
                return unsafe control.withUnsafeMutableBytes { room in
                    unsafe withUnsafeMutablePointer(to: &vector) { vector in
                        var message = unsafe msghdr()
                        unsafe message.msg_iov = vector
                        unsafe message.msg_iovlen = 1
                        unsafe message.msg_control = room.baseAddress
                        unsafe message.msg_controllen = room.count
                        return unsafe recvmsg(socket.raw, &message, CInt(MSG_CMSG_CLOEXEC))
                    }
                }
            }
            if count == 0 || (count < 0 && lastError == .connectionReset) { return nil }
            #expect(count == 1, "no answer within 10 s: \(lastError)")
            guard count == 1 else { return nil }
            line.append(byte)
            // struct cmsghdr: length, level and type, then the descriptor.
            if control[0] >= 20 { given = CInt(truncatingIfNeeded: control[2]) }
        }
        let text = String(decoding: line.dropLast(), as: UTF8.self)
        return (text, given >= 0 ? SharedDescriptor(Descriptor(owning: given)) : nil)
    }
}
