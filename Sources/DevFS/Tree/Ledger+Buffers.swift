extension Ledger {
    /// Buffers that clients have open or that are streams.
    var usedBuffers: Set<BufferID> {
        let open = handles.inodes.compactMap { Node($0)?.buffer }
        return Set(open).union(LedgerStreams(self).all.map(\.buffer))
    }
}
