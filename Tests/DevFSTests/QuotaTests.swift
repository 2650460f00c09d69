import SystemPackage
import Testing

@testable import DevFS

/// SECURITY.md, "3. Quotas"
@Suite struct QuotaTests {
    private static let user: UInt32 = 1000

    private static func quotas(_ each: UInt64, all: UInt64) -> Quotas {
        let quotas = Quotas(limits: [.streams: each])
        quotas.limit(.streams, toAll: all)
        return quotas
    }

    @Test func `a charge is given back with its last owner`() throws {
        let quotas = Quotas(limits: [.streams: 2])
        var first = quotas.tryCharge(.streams, to: Self.user)
        let second = quotas.tryCharge(.streams, to: Self.user)
        #expect(first != nil && second != nil)
        #expect(quotas.tryCharge(.streams, to: Self.user) == nil)
        #expect(quotas.tryCharge(.streams, to: 1001) != nil)
        first = nil
        #expect(quotas.tryCharge(.streams, to: Self.user) != nil)
        #expect(quotas.use.map(\.uid) == [Self.user])
        withExtendedLifetime(second) {}
    }

    @Test func `nothing is kept of who has nothing`() {
        let quotas = Quotas()
        for uid: UInt32 in 1...1000 { _ = quotas.tryCharge(.files, to: uid) }
        #expect(quotas.use.isEmpty)
        let user = quotas.user(Self.user)
        #expect(quotas.user(Self.user) === user)
    }

    @Test func `all users together have a limit, and root none`() {
        let quotas = Self.quotas(4, all: 6)
        let charges = [1, 2].flatMap { uid in
            (0..<3).map { _ in quotas.tryCharge(.streams, to: uid) }
        }
        #expect(charges.allSatisfy { $0 != nil })
        #expect(quotas.tryCharge(.streams, to: 3) == nil)
        let roots = (0..<100).map { _ in quotas.tryCharge(.streams, to: 0) }
        #expect(roots.allSatisfy { $0 != nil })
    }

    @Test func `what a failed charge took of a user is given back`() {
        let quotas = Self.quotas(4, all: 4)
        let others = (0..<4).map { _ in quotas.tryCharge(.streams, to: 1) }
        #expect(quotas.tryCharge(.streams, to: 2) == nil)
        #expect(quotas.use.map(\.uid) == [1])
        withExtendedLifetime(others) {}
        #expect(quotas.user(2).used(.streams) == 0)
    }

    /// "A user who has less than a sixteenth of his own limit gets more even where all users have theirs"
    @Test func `a few users do not shut another one out`() {
        let quotas = Self.quotas(32, all: 32)
        let others = (0..<32).map { _ in quotas.tryCharge(.streams, to: 1) }
        #expect(others.allSatisfy { $0 != nil })
        let own = (0..<3).map { _ in quotas.tryCharge(.streams, to: 2) }
        #expect(own.map { $0 != nil } == [true, true, false])
        // There is no reserve of memory.
        let bytes = Quotas(limits: [.bytes: 32])
        bytes.limit(.bytes, toAll: 32)
        let all = bytes.tryCharge(.bytes, 32, to: 1)
        #expect(all != nil && bytes.tryCharge(.bytes, 1, to: 2) == nil)
    }

    /// Nobody takes more from the others than he could have had.
    @Test func `what goes beyond a user's limit counts for nobody else`() {
        let quotas = Quotas(limits: [.bytes: 100])
        quotas.limit(.bytes, toAll: 200)
        let user = quotas.user(Self.user)
        for amount: UInt64 in [60, 60, 1 << 60, .max, .max] { user.add(.bytes, amount) }
        #expect(user.used(.bytes) == .max)
        #expect(quotas.tryCharge(.bytes, 100, to: 1) != nil)
        #expect(quotas.tryCharge(.bytes, 101, to: 1) == nil)
        user.give(.bytes, .max - 40)
        let rest = quotas.tryCharge(.bytes, 100, to: 1)
        #expect(rest != nil && quotas.tryCharge(.bytes, 60, to: 2) != nil)
        #expect(quotas.tryCharge(.bytes, 61, to: 2) == nil)
        user.give(.bytes, .max)
        #expect(user.used(.bytes) == 0)
    }

    @Test func `a thousand changes by several threads leave nothing`() async {
        let quotas = Self.quotas(50, all: 60)
        await withTaskGroup(of: Void.self) { group in
            for uid: UInt32 in [1, 1, 2, 3] {
                group.addTask {
                    for _ in 0..<1000 {
                        let charges = (0..<20).map { _ in quotas.tryCharge(.streams, to: uid) }
                        withExtendedLifetime(charges) {}
                    }
                }
            }
        }
        #expect(quotas.use.isEmpty)
        let all = [1, 2].flatMap { uid in (0..<30).map { _ in quotas.tryCharge(.streams, to: uid) }
        }
        #expect(all.allSatisfy { $0 != nil })
    }

    /// "The uids that /etc/subuid gives a user for his user namespaces are his"
    @Test func `a user pays for his subordinates`() {
        let text = "me:100000:65536\n# none\n\n1001:165536:2\nx:1\nother:5:0\nlast:4294967295:9\n"
        let known = SubordinateUsers(text) { ["me": 1000, "last": 7][$0] }
        let owners: [(UInt32, UInt32?)] = [
            (0, nil), (1000, nil), (99_999, nil), (100_000, 1000), (165_535, 1000), (165_536, 1001),
            (165_537, 1001), (165_538, nil), (5, nil), (.max, 7),
        ]
        for (uid, owner) in owners { #expect(known.owner(of: uid) == owner, "\(uid)") }

        let quotas = Quotas(limits: [.streams: 3], subordinates: known)
        let charges = [1000, 100_000, 165_535].map { quotas.tryCharge(.streams, to: $0) }
        #expect(charges.allSatisfy { $0 != nil })
        #expect(quotas.tryCharge(.streams, to: 123_456) == nil)
        #expect(quotas.use.map(\.uid) == [1000])
        #expect(SubordinateUsers(readingFrom: "/nowhere").owner(of: 100_000) == nil)
    }
}
