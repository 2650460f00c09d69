import CFuse
import Glibc
import SystemPackage

/// Reads and writes of buffers that pass the server. They do what any other operation does, but
/// count no references and allocate nothing on the way: a request takes hardly more instructions
/// than libfuse itself needs for it (docs/PERFORMANCE.md).
enum BufferOperations {
    /// False where the open file is no buffer, or one whose reads may have to wait.
    static func read(
        _ request: fuse_req_t?, _ size: Int, _ offset: off_t,
        _ info: UnsafeMutablePointer<fuse_file_info>?
    ) -> Bool {
        guard let request = unsafe request, let info = unsafe info,
            let file = unsafe HandleTable.buffer(info.pointee.fh),
            unsafe !file._withUnsafeGuaranteedRef({ $0.buffer.isForeign })
        else { return false }
        unsafe Session.with(request) { session in
            session.count { $0.count(.read) }
            unsafe file._withUnsafeGuaranteedRef { file in
                do throws(Errno) {
                    let count =
                        session.usesRings
                        ? unsafe try send(file, request, size, UInt64(offset))
                        : unsafe try file.lend(at: UInt64(offset), size: size) {
                            unsafe Reply(request).bytes($0)
                        }
                    session.count { $0.addRead(count) }
                } catch {
                    unsafe Reply(request).error(error)
                }
            }
        }
        return true
    }

    /// Over a ring the bytes go to where the kernel takes them from. They are copied by the kernel: a
    /// copy of ours from a mapping that is cut meanwhile is SIGBUS.
    private static func send(
        _ file: BufferFile, _ request: fuse_req_t, _ size: Int, _ offset: UInt64
    ) throws(Errno) -> Int {
        var capacity = 0
        guard let base = unsafe cfuse_payload(request, &capacity) else {
            return unsafe try file.lend(at: offset, size: size) { unsafe Reply(request).bytes($0) }
        }
        let room = unsafe UnsafeMutableRawBufferPointer(start: base, count: min(size, capacity))
        let count = unsafe try file.read(into: room, at: offset)
        unsafe Reply(request).bytes(UnsafeRawBufferPointer(rebasing: room[..<count]))
        return count
    }

    /// False where the open file is no buffer, or one whose writes may have to wait.
    static func write(
        _ request: fuse_req_t?, _ bytes: UnsafePointer<CChar>?, _ size: Int, _ offset: off_t,
        _ info: UnsafeMutablePointer<fuse_file_info>?
    ) -> Bool {
        guard let request = unsafe request, let info = unsafe info,
            let file = unsafe HandleTable.buffer(info.pointee.fh),
            unsafe file._withUnsafeGuaranteedRef({ $0.buffer.enter() })
        else { return false }
        unsafe Session.with(request) { session in
            session.count { $0.count(.write) }
            // The file may be gone once the reply is sent: it is left before.
            var count = 0
            var failure: Errno?
            unsafe file._withUnsafeGuaranteedRef { file in
                do throws(Errno) {
                    count = unsafe try file.write(
                        UnsafeRawBufferPointer(start: bytes, count: size), at: UInt64(offset))
                } catch {
                    failure = error
                }
                file.buffer.leave()
            }
            if let failure { return unsafe Reply(request).error(failure) }
            session.count { $0.addWritten(count) }
            unsafe Reply(request).written(count)
        }
        return true
    }
}
