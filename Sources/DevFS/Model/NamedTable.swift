/// What a `NamedTable` has: each has a number and a name of its own, which do not change.
protocol NamedEntry {
    associatedtype ID: Hashable & Comparable
    var id: ID { get }
    var name: Name { get }
}

/// Objects that are found by their number or their name.
struct NamedTable<Entry: NamedEntry> {
    private var byID: [Entry.ID: Entry] = [:]
    private var byName: [Name: Entry.ID] = [:]

    /// To change one that is there, too; nothing is added or removed by that.
    subscript(id: Entry.ID) -> Entry? {
        get { byID[id] }
        set { if let newValue, byID[id] != nil { byID[id] = newValue } }
    }

    subscript(name: Name) -> Entry? { byName[name].flatMap { byID[$0] } }

    var count: Int { byID.count }

    /// By number.
    var all: [Entry] { byID.values.sorted { $0.id < $1.id } }

    /// - Precondition: neither its number nor its name is in the table.
    mutating func insert(_ entry: Entry) {
        precondition(byID[entry.id] == nil && byName[entry.name] == nil, "\(entry.name) twice")
        byID[entry.id] = entry
        byName[entry.name] = entry.id
    }

    mutating func remove(_ id: Entry.ID) -> Entry? {
        guard let entry = byID.removeValue(forKey: id) else { return nil }
        byName[entry.name] = nil
        return entry
    }
}
