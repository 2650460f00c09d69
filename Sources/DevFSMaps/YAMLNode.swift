import CMaps
import DevFS

/// A YAML document as values, with the line of each.
indirect enum YAMLNode {
    case text(String, line: Int)
    case list([YAMLNode], line: Int)
    case map([(key: String, value: YAMLNode)], line: Int)

    var line: Int {
        switch self {
        case .text(_, let line), .list(_, let line), .map(_, let line): line
        }
    }

    /// A value of a mapping.
    subscript(key: String) -> YAMLNode? {
        guard case .map(let pairs, _) = self else { return nil }
        return pairs.first { $0.key == key }?.value
    }

    /// - Throws: what libyaml says, and its line; too much, by aliases of aliases too.
    static func read(_ bytes: [UInt8], _ path: String) throws(MapError) -> YAMLNode {
        try YAMLParser(bytes, path).document()
    }
}

/// Makes values of libyaml's events, as far as they may go: libyaml itself has no limit of depth, and
/// takes a time that grows with its square.
///
/// *Safety*: the parser is this object's, and the bytes are there as long.
@safe private final class YAMLParser {
    private static let deepest = 40
    private static let most = 500_000

    private let path: String
    private let bytes: [UInt8]
    private let room: UnsafeMutablePointer<UInt8>
    private let yaml: OpaquePointer
    /// What can be referred to, and how many values it has.
    private var anchors: [String: (node: YAMLNode, count: Int)] = [:]
    private var count = 0

    init(_ bytes: [UInt8], _ path: String) throws(MapError) {
        self.path = path
        self.bytes = bytes
        unsafe room = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, bytes.count))
        for (index, byte) in bytes.enumerated() { unsafe room[index] = byte }
        guard let yaml = unsafe cmaps_yaml_new(room, bytes.count) else {
            unsafe room.deallocate()
            throw MapError(path, "out of memory", .noMemory)
        }
        unsafe self.yaml = yaml
    }

    deinit {
        unsafe cmaps_yaml_free(yaml)
        unsafe room.deallocate()
    }

    private struct Event {
        var kind: cmaps_yaml_kind
        var line: Int
        var text: String
        var anchor: String?
    }

    private func next() throws(MapError) -> Event {
        let event = unsafe cmaps_yaml_next(yaml)
        let line = unsafe Int(clamping: event.line)
        if unsafe event.kind == CMAPS_YAML_ERROR {
            let why = unsafe event.text.map { unsafe String(cString: $0) } ?? ""
            throw MapError(path, line: line, why)
        }
        let text = unsafe event.text.map { text in
            let bytes = unsafe UnsafeRawBufferPointer(start: text, count: event.count)
            return unsafe String(decoding: bytes, as: UTF8.self)
        }
        let anchor = unsafe event.anchor.map { unsafe String(cString: $0) }
        return Event(kind: unsafe event.kind, line: line, text: text ?? "", anchor: anchor)
    }

    func document() throws(MapError) -> YAMLNode {
        while true {
            let event = try next()
            switch event.kind {
            case CMAPS_YAML_NOTHING: throw MapError(path, "the file is empty")
            case CMAPS_YAML_OTHER: continue
            default: return try node(event, depth: 0)
            }
        }
    }

    private func node(_ event: Event, depth: Int) throws(MapError) -> YAMLNode {
        guard depth < Self.deepest else {
            throw MapError(path, line: event.line, "deeper than \(Self.deepest)")
        }
        let before = count
        try spend(1, event.line)
        let node: YAMLNode
        switch event.kind {
        case CMAPS_YAML_SCALAR: node = .text(event.text, line: event.line)
        case CMAPS_YAML_LIST: node = .list(try items(depth), line: event.line)
        case CMAPS_YAML_MAP: node = .map(try pairs(depth), line: event.line)
        case CMAPS_YAML_ALIAS:
            guard let known = event.anchor.flatMap({ anchors[$0] }) else {
                throw MapError(
                    path, line: event.line, "an alias of nothing so far, or of what it is in")
            }
            try spend(known.count, event.line)
            return known.node
        default: throw MapError(path, line: event.line, "a value is missing")
        }
        if let anchor = event.anchor { anchors[anchor] = (node, count - before) }
        return node
    }

    private func spend(_ more: Int, _ line: Int) throws(MapError) {
        count += more
        guard count <= Self.most else {
            throw MapError(path, line: line, "more than \(Self.most) values", .argListTooLong)
        }
    }

    private func items(_ depth: Int) throws(MapError) -> [YAMLNode] {
        var items: [YAMLNode] = []
        while true {
            let event = try next()
            if event.kind == CMAPS_YAML_END { return items }
            items.append(try node(event, depth: depth + 1))
        }
    }

    private func pairs(_ depth: Int) throws(MapError) -> [(key: String, value: YAMLNode)] {
        var pairs: [(key: String, value: YAMLNode)] = []
        while true {
            let event = try next()
            if event.kind == CMAPS_YAML_END { return pairs }
            guard event.kind == CMAPS_YAML_SCALAR else {
                throw MapError(path, line: event.line, "a key is a word")
            }
            pairs.append((event.text, try node(try next(), depth: depth + 1)))
        }
    }
}

/// A mapping whose keys are known: one that nobody has asked for is a mistake.
struct YAMLReader {
    let path: String
    let line: Int
    private var pairs: [(key: String, value: YAMLNode)]

    init(_ node: YAMLNode, _ path: String, _ what: String, _ keys: [String]) throws(MapError) {
        guard case .map(let pairs, let line) = node else {
            throw MapError(path, line: node.line, "\(what) is a mapping: NAME: VALUE")
        }
        self.path = path
        self.line = line
        self.pairs = pairs
        var seen: Set<String> = []
        for (key, value) in pairs {
            guard keys.contains(key) else {
                throw MapError(
                    path, line: value.line,
                    "\(what) has no '\(key)'; it has \(keys.joined(separator: ", "))")
            }
            guard seen.insert(key).inserted else {
                throw MapError(path, line: value.line, "'\(key)' is there twice")
            }
        }
    }

    subscript(key: String) -> YAMLNode? { pairs.first { $0.key == key }?.value }

    func fail(_ why: String, _ key: String? = nil) -> MapError {
        MapError(path, line: key.flatMap { self[$0]?.line } ?? line, why)
    }

    func text(_ key: String) throws(MapError) -> String? {
        switch self[key] {
        case nil: return nil
        case .text(let text, _)?: return text
        default: throw fail("'\(key)' is a word", key)
        }
    }

    func number(_ key: String) throws(MapError) -> UInt64? {
        guard let text = try text(key) else { return nil }
        guard let number = MapNumber.parse(text) else {
            throw fail("'\(key)' is a number, not '\(text)'", key)
        }
        return number
    }

    func flag(_ key: String) throws(MapError) -> Bool {
        switch try text(key) {
        case nil, "false", "no": return false
        case "true", "yes": return true
        default: throw fail("'\(key)' is true or false", key)
        }
    }

    func list(_ key: String) throws(MapError) -> [YAMLNode] {
        switch self[key] {
        case nil: return []
        case .list(let items, _)?: return items
        default: throw fail("'\(key)' is a list", key)
        }
    }

    func word<Word>(_ key: String, _ words: [String: Word]) throws(MapError) -> Word? {
        guard let text = try text(key) else { return nil }
        guard let word = words[text] else {
            throw fail("'\(key)' is one of \(words.keys.sorted().joined(separator: ", "))", key)
        }
        return word
    }
}
