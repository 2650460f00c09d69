import SystemPackage

/// A rename that takes a name from a buffer for another one.
struct Replacement {
    let old: Buffer
    let oldStatus: FileStatus
    let new: Buffer
    let newStatus: FileStatus
    /// Each has the other's name afterwards: nothing is lost.
    let isExchange: Bool
    /// The device has buses: whoever was given a descriptor can ask it for addresses.
    let hasAddresses: Bool

    /// Why the old buffer must not go by a rename: programs that replace a file (`sed -i`,
    /// `rsync --temp-dir`, editors) do not know what it was. Nil where nothing is lost that the new
    /// one has not got.
    var refusal: Refusal? {
        guard !isExchange, let why else { return nil }
        return Refusal(.resourceBusy, "\(why): write into \(old.name), or rm it first")
    }

    private var why: String? {
        let name = old.name
        let (was, becomes) = (old.traits, new.traits)
        if old.state.withLock({ $0.streams > 0 }) { return "\(name) is streaming" }
        let isKnown = old.isLocated || hasAddresses && (old.isExported || old.isOfOthers)
        if isKnown { return "a device may have been told \(name)'s address" }
        if was.lease == .process
            && (becomes.lease, becomes.owner, becomes.ownerStart)
                != (was.lease, was.owner, was.ownerStart)
        {
            return "\(name) has a lease, and \(new.name) has not got the same"
        }
        if was.heap.isFixed && was.heap != becomes.heap
            || was.direction != .bidirectional && was.direction != becomes.direction
        {
            return "\(name) is \(Self.text(was)) and \(new.name) is \(Self.text(becomes))"
        }
        // One that was never sized has nothing to lose.
        if was.heap.isFixed && oldStatus.size > 0 && oldStatus.size != newStatus.size {
            return "\(name) has \(oldStatus.size) bytes of \(was.heap.name) memory and "
                + "\(new.name) has \(newStatus.size)"
        }
        return nil
    }

    private static func text(_ traits: BufferTraits) -> String {
        "\(traits.heap.name) \(traits.direction.name)"
    }
}
