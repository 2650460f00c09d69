import Synchronization
import SystemPackage

/// What one user can have of a mount, so that he leaves the others theirs.
///
/// Each user has a limit, and all users together have one, which leaves the rest to the
/// administrators: root, the mount's owner and the server's own user, who have none.
final class Quotas: Sendable {
    /// What is counted. The raw value is the word in `quota_WORD=`, `status` and `metrics`.
    enum Resource: String, CaseIterable, Sendable {
        /// Buffers that a user has made.
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
        /// Connections of the socket, and eventfds that it has given out.
        case connections, counters
        /// Buffers that the socket has given out.
        case exports

        /// What one user has, and all of them together, by default.
        var defaults: Limit {
            switch self {
            case .buffers: Limit(each: 16384, all: 65536)
            // The device's size is a limit, too: see `FileSystem.limitBytes`.
            case .bytes: Limit(each: .max, all: .max)
            case .files: Limit(each: 4096, all: 16384)
            case .text: Limit(each: 16 << 20, all: 128 << 20)
            case .waits: Limit(each: 4096, all: 16384)
            case .requests: Limit(each: 1024, all: 8192)
            case .queued: Limit(each: 16 << 20, all: 128 << 20)
            case .signals: Limit(each: 128, all: 512)
            case .streams: Limit(each: 64, all: 256)
            case .notifications: Limit(each: 128, all: 1024)
            case .connections: Limit(each: 32, all: 96)
            case .counters: Limit(each: 256, all: 1024)
            case .exports: Limit(each: 256, all: 1024)
            }
        }

        /// What is answered beyond the limit.
        var errno: Errno {
            switch self {
            case .files, .exports: .tooManyOpenFiles
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

    /// A part of a user's quota, given back when its last owner goes.
    final class Charge: Sendable {
        private let quotas: Quotas
        private let resource: Resource
        private let uid: UInt32
        private let amount: UInt64

        fileprivate init(_ quotas: Quotas, _ resource: Resource, _ uid: UInt32, _ amount: UInt64) {
            self.quotas = quotas
            self.resource = resource
            self.uid = uid
            self.amount = amount
        }

        deinit { quotas.give(resource, amount, uid) }
    }

    private struct State {
        var limits: [Resource: Limit]
        var used: [UInt32: [Resource: UInt64]] = [:]
        /// Of all users that have limits.
        var total: [Resource: UInt64] = [:]
    }

    private let administrators: Set<UInt32>
    private let state: Mutex<State>

    /// - Parameters:
    ///   - administrators: who has no limits; root has none in any case.
    ///   - limits: instead of the defaults of each user.
    init(administrators: Set<UInt32> = [], limits: [Resource: UInt64] = [:]) {
        self.administrators = administrators.union([0])
        var table: [Resource: Limit] = [:]
        for resource in Resource.allCases {
            var limit = resource.defaults
            if let each = limits[resource] {
                limit.each = each
                limit.all = max(limit.all, each)
            }
            table[resource] = limit
        }
        state = Mutex(State(limits: table))
    }

    func isLimited(_ uid: UInt32) -> Bool { !administrators.contains(uid) }

    /// Lowers what all users together can have.
    func limit(_ resource: Resource, toAll all: UInt64) {
        state.withLock { state in
            let limit = state.limits[resource] ?? resource.defaults
            state.limits[resource] = Limit(each: min(limit.each, all), all: min(limit.all, all))
        }
    }

    func limit(of resource: Resource) -> Limit {
        state.withLock { $0.limits[resource] ?? resource.defaults }
    }

    /// - Throws: the resource's errno with the limit that was hit.
    func charge(
        _ resource: Resource, _ amount: UInt64 = 1, to uid: UInt32
    ) throws(Refusal) -> Charge {
        guard let charge = tryCharge(resource, amount, to: uid) else {
            throw refusal(resource, uid)
        }
        return charge
    }

    /// Nil beyond a limit.
    func tryCharge(_ resource: Resource, _ amount: UInt64 = 1, to uid: UInt32) -> Charge? {
        take(resource, amount, uid) ? Charge(self, resource, uid, amount) : nil
    }

    func refusal(_ resource: Resource, _ uid: UInt32) -> Refusal {
        let limit = limit(of: resource)
        return Refusal(
            resource.errno,
            "uid \(uid) has its \(limit.each) \(resource.rawValue) (quota_\(resource.rawValue)=), "
                + "or all users their \(limit.all)")
    }

    func take(_ resource: Resource, _ amount: UInt64, _ uid: UInt32) -> Bool {
        let isLimited = isLimited(uid)
        return state.withLock { state in
            let own = (state.used[uid]?[resource] ?? 0).addingReportingOverflow(amount)
            let all = (state.total[resource] ?? 0).addingReportingOverflow(amount)
            guard !own.overflow, !all.overflow else { return false }
            if isLimited {
                guard let limit = state.limits[resource], own.partialValue <= limit.each,
                    all.partialValue <= limit.all
                else { return false }
                state.total[resource] = all.partialValue
            }
            state.used[uid, default: [:]][resource] = own.partialValue
            return true
        }
    }

    /// Counts what is there already.
    func add(_ resource: Resource, _ amount: UInt64, _ uid: UInt32) {
        let isLimited = isLimited(uid)
        state.withLock { state in
            state.used[uid, default: [:]][resource, default: 0] &+= amount
            if isLimited { state.total[resource, default: 0] &+= amount }
        }
    }

    func give(_ resource: Resource, _ amount: UInt64, _ uid: UInt32) {
        let isLimited = isLimited(uid)
        state.withLock { state in
            let own = state.used[uid]?[resource] ?? 0
            // Nothing is kept of who has nothing: there may be very many users.
            state.used[uid]?[resource] = own > amount ? own - amount : nil
            if state.used[uid]?.isEmpty == true { state.used[uid] = nil }
            guard isLimited else { return }
            let all = state.total[resource] ?? 0
            state.total[resource] = all > amount ? all - amount : 0
        }
    }

    /// What each user has now, by uid; resources of which it has none are left out.
    var use: [(uid: UInt32, used: [Resource: UInt64])] {
        state.withLock { $0.used }.sorted { $0.key < $1.key }.map { (uid: $0.key, used: $0.value) }
    }
}
