extension [UInt32: Int] {
    /// Counts for a user, of whom nothing is kept when he has nothing.
    mutating func count(_ change: Int, for uid: UInt32) {
        let count = (self[uid] ?? 0) + change
        self[uid] = count > 0 ? count : nil
    }
}
