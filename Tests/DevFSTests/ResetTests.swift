import Glibc
import SystemPackage
import Testing

@testable import DevFS

@Suite("control/reset", .timeLimit(.minutes(1)))
struct ResetTests {
    private func withReset(_ body: (Client, FakeHardware) throws -> Void) throws {
        try withHardware(try FakeHardware(canReset: true), body)
    }

    /// "only where the device can be reset"
    @Test func `it is there only where the device can be reset`() throws {
        try withTree { (client) throws in
            #expect(try !client.list("control").contains("reset"))
            #expect(throws: Errno.noSuchFileOrDirectory) { try client.inode("control/reset") }
        }
        try withHardware { (client, _) throws in
            #expect(try !client.list("control").contains("reset"))
            #expect(throws: Errno.noSuchFileOrDirectory) { try client.inode("control/reset") }
        }
        try withReset { (client, _) throws in
            #expect(try client.list("control").contains("reset"))
            #expect(try client.status("control/reset").mode == S_IFREG | 0o200)
        }
    }

    @Test func `1 and reset reset the device, and nothing else does`() throws {
        try withReset { (client, device) throws in
            try client.write("control/reset", "1")
            try client.write("control/reset", "reset\n")
            #expect(device.resets == 2)
            for text in ["0", "2", "Reset", "1 1", ""] {
                #expect(try client.refusal("control/reset", text) == .invalidArgument, "\(text)")
            }
            #expect(throws: Errno.permissionDenied) { try client.open("control/reset", O_RDONLY) }
            #expect(device.resets == 2)
        }
    }

    @Test func `a device that others reset is EAGAIN, one that is gone ENODEV; the log says why`()
        throws
    {
        try withReset { (client, device) throws in
            device.setResetting(true)
            #expect(
                try client.refusal("control/reset", "1") == .resourceTemporarilyUnavailable)
            device.setResetting(false)
            try client.write("control/reset", "1")
            #expect(try client.log().last?.contains("reset by others") == true)
            device.unplug()
            #expect(try client.refusal("control/reset", "1") == .noDevice)
        }
    }
}
