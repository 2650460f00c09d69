import CFuse
import Glibc
import Synchronization
import SystemPackage

/// What a server has of its keeper: the ledger, and where it is not the first, the connection and the
/// device's lock. docs/design.md has how they work together.
package final class Succession: Sendable {
    /// As the keeper numbers them for each server.
    private enum Number {
        static let control: CInt = 3
        static let ledger: CInt = 4
        static let connection: CInt = 5
        static let lock: CInt = 6
    }

    let ledger: Ledger
    private let control: Descriptor
    private let connection: Mutex<SharedDescriptor?>
    private let lock: Mutex<SharedDescriptor?>

    /// - Parameter isFirst: the mount is to be made.
    /// - Throws: where what the keeper holds is no ledger, or another version's.
    package init(isFirst: Bool) throws(SetupError) {
        control = Syscalls.inherit(Number.control)
        // The keeper starts it by a number, which is no name.
        Syscalls.nameThread("devfs")
        do throws(Errno) {
            let file = Syscalls.inherit(Number.ledger)
            ledger = try Ledger(file.raw, isAdopted: !isFirst)
        } catch {
            throw SetupError(
                "taking over from a server of another version", error,
                hint: "the mount ends; mount it again")
        }
        connection = Mutex(isFirst ? nil : Self.shared(Number.connection))
        lock = Mutex(isFirst ? nil : Self.shared(Number.lock))
    }

    private static func shared(_ number: CInt) -> SharedDescriptor {
        SharedDescriptor(Syscalls.inherit(number))
    }

    var isFirst: Bool { !ledger.isAdopted }

    /// Of `/dev/fuse`; nil for the first server.
    func takeConnection() -> SharedDescriptor? { connection.withLock { $0.take() } }

    func takeLock() throws(SetupError) -> DeviceLock? {
        guard let held = lock.withLock({ $0.take() }) else { return nil }
        do throws(Errno) {
            return try DeviceLock(adopting: held)
        } catch {
            throw SetupError("taking the device's lock over", error)
        }
    }

    private enum Word: Character {
        case connection = "C"
        case lock = "L"
        case keepable = "K"
        case ends = "E"
        case ready = "+"
        case failed = "-"
    }

    private func tell(_ word: Word, _ text: String = "", _ descriptor: CInt = -1) {
        let bytes = Array("\(word.rawValue)\(text)".utf8.prefix(4096))
        _ = Syscalls.send(bytes, descriptor: descriptor, to: control.raw)
    }

    func giveConnection(_ descriptor: CInt) { tell(.connection, "", descriptor) }
    func giveLock(_ descriptor: CInt) { tell(.lock, "", descriptor) }
    /// The next server can go on from here.
    func becomeKeepable() { tell(.keepable) }
    /// There is to be no next one.
    func end() { tell(.ends) }
    /// The mount is served.
    /// - Parameter summary: a line that says what is served.
    package func ready(_ summary: String) { tell(.ready, summary) }
    package func failed(_ why: String) { tell(.failed, why) }

    /// The keeper is there.
    var isKept: Bool { Syscalls.isQuiet(control.raw) }

    /// The keeper's process.
    var keeper: Int32 { (try? Syscalls.peer(of: control.raw).caller.pid.number) ?? 0 }
}
