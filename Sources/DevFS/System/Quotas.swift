import Synchronization
import SystemPackage

/// What one user can have of a mount, so that he leaves the others theirs.
///
/// Each user has a limit, and all users together have one, which leaves the rest to the
/// administrators: root, the mount's owner and the server's own user, who have none.
final class Quotas: Sendable {
    /// What is counted. The name is the word in `quota_WORD=`, `status` and `metrics`.
    enum Resource: Int, CaseIterable, Sendable {
        /// Buffers that a user has made, those that he removed while somebody uses them included.
        case buffers
        /// Bytes of these buffers, as far as the server gives them out.
        case bytes
        /// Open files of the tree.
        case files
        /// Bytes of texts that open files show.
        case text
        /// Reads that wait.
        case waits
        /// Requests, and bytes of them, that wait for a thread.
        case requests, queued
        case signals, streams
        /// Processes that a `notify` signals.
        case notifications
        /// Connections of the socket, and eventfds and pipes that it has given out.
        case connections, counters

        var word: String { "\(self)" }

        init?(word: String) {
            guard let found = Self.allCases.first(where: { $0.word == word }) else { return nil }
            self = found
        }

        /// What one user has, and all of them together, by default.
        var defaults: Limit {
            switch self {
            case .buffers: Limit(each: 16384, all: 65536)
            // The device's size is a limit, too: see `FileSystem.limitBytes`.
            case .bytes: Limit(each: .max, all: .max)
            case .files: Limit(each: 4096, all: 16384)
            case .text: Limit(each: 16 << 20, all: 128 << 20)
            case .waits: Limit(each: 512, all: 4096)
            case .requests: Limit(each: 1024, all: 8192)
            case .queued: Limit(each: 16 << 20, all: 128 << 20)
            case .signals: Limit(each: 128, all: 512)
            case .streams: Limit(each: 64, all: 256)
            case .notifications: Limit(each: 128, all: 1024)
            case .connections: Limit(each: 32, all: 96)
            case .counters: Limit(each: 256, all: 1024)
            }
        }

        /// What a user has even where all together have what they can, so that a few cannot shut the
        /// others out.
        func reserve(of each: UInt64) -> UInt64 { self == .bytes ? 0 : each / 16 }

        /// What is answered beyond the limit.
        var errno: Errno {
            switch self {
            case .files: .tooManyOpenFiles
            case .text, .queued: .noMemory
            case .waits, .requests: .resourceTemporarilyUnavailable
            case .connections, .counters: .tooManyUsers
            default: .diskQuotaExceeded
            }
        }
    }

    struct Limit: Sendable, Equatable {
        var each: UInt64
        var all: UInt64
    }

    /// A number that many threads change.
    fileprivate final class Counter: Sendable {
        let value: Atomic<UInt64>
        init(_ start: UInt64 = 0) { value = Atomic(start) }
        var now: UInt64 { value.load(ordering: .relaxed) }

        /// `change` gives nil where it must not be changed.
        @discardableResult
        func change(_ change: (UInt64) -> UInt64?) -> (old: UInt64, new: UInt64)? {
            var old = now
            while let new = change(old) {
                let (isDone, seen) = value.weakCompareExchange(
                    expected: old, desired: new, ordering: .relaxed)
                if isDone { return (old, new) }
                old = seen
            }
            return nil
        }
    }

    /// A part of a user's quota, given back when its last owner goes.
    final class Charge: Sendable {
        let user: User
        private let resource: Resource
        private let amount: UInt64

        fileprivate init(_ user: User, _ resource: Resource, _ amount: UInt64) {
            self.user = user
            self.resource = resource
            self.amount = amount
        }

        deinit { user.give(resource, amount) }
    }

    /// What one user has, as long as he has something.
    ///
    /// No lock is taken to change it: every read that waits does, and thousands may wait.
    final class User: Sendable {
        let uid: UInt32
        let isLimited: Bool
        private let quotas: Quotas
        private let used: [Counter] = Resource.allCases.map { _ in Counter() }

        fileprivate init(_ uid: UInt32, _ quotas: Quotas) {
            self.uid = uid
            self.quotas = quotas
            isLimited = quotas.isLimited(uid)
        }

        deinit { quotas.forget(uid) }

        /// What he has now.
        func used(_ resource: Resource) -> UInt64 { used[resource.rawValue].now }

        /// False beyond a limit.
        func take(_ resource: Resource, _ amount: UInt64 = 1) -> Bool {
            let limit = quotas.limit(of: resource)
            let change = used[resource.rawValue].change { old in
                let (new, isHuge) = old.addingReportingOverflow(amount)
                return isHuge || isLimited && new > limit.each ? nil : new
            }
            guard let (_, own) = change else { return false }
            guard isLimited else { return true }
            let isReserved = own <= resource.reserve(of: limit.each)
            let all = quotas.total[resource.rawValue].change { old in
                let (new, isHuge) = old.addingReportingOverflow(amount)
                return isHuge || new > limit.all && !isReserved ? nil : new
            }
            if all == nil { used[resource.rawValue].change { $0 - min($0, amount) } }
            return all != nil
        }

        /// Counts what is there, whatever the limit.
        ///
        /// Of what goes beyond his own limit nothing counts for all users: he can only take from the
        /// others what he could have had.
        func add(_ resource: Resource, _ amount: UInt64) {
            let change = used[resource.rawValue].change { old in
                let (new, isHuge) = old.addingReportingOverflow(amount)
                return isHuge ? .max : new
            }
            guard isLimited, let (old, new) = change else { return }
            let each = quotas.limit(of: resource).each
            quotas.total[resource.rawValue].change { $0 &+ (min(new, each) - min(old, each)) }
        }

        func give(_ resource: Resource, _ amount: UInt64) {
            let change = used[resource.rawValue].change { $0 - min($0, amount) }
            guard isLimited, let (old, new) = change else { return }
            let each = quotas.limit(of: resource).each
            let part = min(old, each) - min(new, each)
            quotas.total[resource.rawValue].change { $0 - min($0, part) }
        }

        /// Nil beyond a limit.
        func tryCharge(_ resource: Resource, _ amount: UInt64 = 1) -> Charge? {
            take(resource, amount) ? Charge(self, resource, amount) : nil
        }

        func refusal(_ resource: Resource) -> Refusal {
            let limit = quotas.limit(of: resource)
            return Refusal(
                resource.errno,
                "uid \(uid) has its \(limit.each) \(resource.word) (quota_\(resource.word)=), "
                    + "or all users their \(limit.all)")
        }
    }

    /// Weak: `Charge`s keep it.
    private struct Entry {
        weak var user: User?
    }

    private let administrators: Set<UInt32>
    private let subordinates: SubordinateUsers
    /// As they were asked for, whatever the device has.
    private let asked: [Limit]
    private let each: [Counter]
    private let all: [Counter]
    /// Of all users that have limits.
    private let total: [Counter] = Resource.allCases.map { _ in Counter() }
    private let users = Mutex<[UInt32: Entry]>([:])

    /// - Parameters:
    ///   - administrators: who has no limits; root has none in any case.
    ///   - limits: instead of the defaults of each user.
    ///   - subordinates: uids that are others' in user namespaces of theirs.
    init(
        administrators: Set<UInt32> = [], limits: [Resource: UInt64] = [:],
        subordinates: SubordinateUsers = SubordinateUsers()
    ) {
        self.administrators = administrators.union([0])
        self.subordinates = subordinates
        let table = Resource.allCases.map { resource in
            var limit = resource.defaults
            if let each = limits[resource] {
                limit.each = each
                limit.all = max(limit.all, each)
            }
            return limit
        }
        asked = table
        each = table.map { Counter($0.each) }
        all = table.map { Counter($0.all) }
    }

    /// Who pays for a user: himself, or whose subordinate he is. `subuid(5)`
    ///
    /// With a user namespace one user has the 65536 uids that are his by default.
    func payer(of uid: UInt32) -> UInt32 { subordinates.owner(of: uid) ?? uid }

    func isLimited(_ uid: UInt32) -> Bool { !administrators.contains(uid) }

    /// Lowers what all users together can have, as far as more was asked for.
    func limit(_ resource: Resource, toAll most: UInt64) {
        let asked = asked[resource.rawValue]
        each[resource.rawValue].change { _ in min(asked.each, most) }
        all[resource.rawValue].change { _ in min(asked.all, most) }
    }

    func limit(of resource: Resource) -> Limit {
        Limit(each: each[resource.rawValue].now, all: all[resource.rawValue].now)
    }

    /// Who pays for `uid`, to be kept by whom he serves often.
    func user(_ uid: UInt32) -> User {
        let payer = payer(of: uid)
        return users.withLock { users in
            if let user = users[payer]?.user { return user }
            let user = User(payer, self)
            users[payer] = Entry(user: user)
            return user
        }
    }

    /// Nothing is kept of who has nothing: there may be very many users.
    private func forget(_ uid: UInt32) {
        users.withLock { users in
            // Another object may be his by now.
            if users[uid]?.user == nil { users[uid] = nil }
        }
    }

    /// - Throws: the resource's errno with the limit that was hit.
    func charge(
        _ resource: Resource, _ amount: UInt64 = 1, to uid: UInt32
    ) throws(Refusal) -> Charge {
        let user = user(uid)
        guard let charge = user.tryCharge(resource, amount) else { throw user.refusal(resource) }
        return charge
    }

    /// Nil beyond a limit.
    func tryCharge(_ resource: Resource, _ amount: UInt64 = 1, to uid: UInt32) -> Charge? {
        user(uid).tryCharge(resource, amount)
    }

    /// Users who have something.
    var count: Int { users.withLock { $0.count } }

    /// What each user has now, by uid; resources of which it has none are left out.
    var use: [(uid: UInt32, used: [Resource: UInt64])] {
        let users = users.withLock { $0.values.compactMap(\.user) }
        return users.sorted { $0.uid < $1.uid }.compactMap { user in
            let used = Resource.allCases.map { ($0, user.used($0)) }.filter { $0.1 > 0 }
            return used.isEmpty
                ? nil : (uid: user.uid, used: Dictionary(uniqueKeysWithValues: used))
        }
    }
}
