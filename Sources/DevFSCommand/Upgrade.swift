import ArgumentParser
import DevFS
import Glibc
import SystemPackage

struct UpgradeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upgrade",
        abstract: "Go on with a mount by this program.",
        discussion: """
            The keeper of a mount (`-o keeper`) ends its server and starts this program in its place. \
            Clients notice nothing: what was asked and not answered is asked again. Where this \
            program can't go on, the keeper starts the one that it had before.

            EXAMPLE
              devfs upgrade /mnt/dma
            """)

    @Argument(
        help: ArgumentHelp("The mount point, or any path below it.", valueName: "mount"),
        completion: Completions.mounts)
    var path: String

    @OptionGroup
    var answers: AnswerOptions

    func run() throws {
        let entry = try Mounts.toUnmount(path)
        let what = "upgrading \(entry.mountpoint)"
        let address = try Server.keeperSocket(of: entry.source)
        let keeper = try attempting(what) { () throws -> FileDescriptor in
            do {
                return try Syscalls.connect(to: address)
            } catch let error as Errno
                where error == .noSuchFileOrDirectory || error == .connectionRefused
            {
                throw Failure(
                    what, "it has no keeper: mount it with `-o keeper`", status: .failed)
            }
        }
        defer { try? keeper.close() }
        let program = try attempting(what) {
            try Files.open("/proc/self/exe", .readOnly)
        }
        defer { try? program.close() }
        guard Syscalls.give(program.rawValue, [UInt8(ascii: "U")], to: keeper.rawValue) else {
            throw Failure(what, "the keeper does not listen")
        }
        guard try Syscalls.poll(keeper, POLLIN, timeout: Answers.milliseconds) > 0 else {
            throw Failure(what, "the keeper does not answer", status: .timedOut)
        }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = try unsafe bytes.withUnsafeMutableBytes { try unsafe keeper.read(into: $0) }
        if bytes[..<count].first == UInt8(ascii: "+") { return }
        let why = String(decoding: bytes[..<count].dropFirst(), as: UTF8.self)
        throw Failure(what, why.isEmpty ? "the keeper refused" : why, status: .failed)
    }
}
