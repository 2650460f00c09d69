import DevFSClient

// What `list` and the like show of the library's records.

extension BufferRecord {
    static let heading = ["NAME", "SIZE", "HEAP", "DIRECTION", "OWNER", "MODE", "REFS"]

    var row: [String] {
        [name, Output.size(size), heap, direction, owner, mode, "\(refs)"]
    }

    /// All buffers, by name.
    static func all(in tree: Tree) throws -> [BufferRecord] {
        try failing { () throws(DevFSError) in try tree.device.buffers() }
    }
}

extension SignalRecord {
    static let heading = ["NAME", "KIND", "PERIOD", "ENABLED", "COUNT", "MISSED"]

    var row: [String] {
        [name, kind, period ?? "-", enabled ? "yes" : "no", "\(count)", "\(missed)"]
    }

    static func all(in tree: Tree) throws -> [SignalRecord] {
        try failing { () throws(DevFSError) in try tree.device.signals() }
    }
}

extension StreamRecord {
    static let heading = [
        "NAME", "BUFFER", "SOURCE", "POLICY", "PERIOD", "STATUS", "AVAILABLE", "OVERRUNS",
    ]

    var row: [String] {
        [
            name, buffer, source, policy, Output.size(period), status, "\(available)",
            "\(overruns)",
        ]
    }

    static func all(in tree: Tree) throws -> [StreamRecord] {
        try failing { () throws(DevFSError) in try tree.device.streams() }
    }
}
