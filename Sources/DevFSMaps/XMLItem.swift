import CMaps
import DevFS
import Glibc

/// The elements that the XML formats have in common, and those that matter of each.
enum XMLTag: String, CaseIterable {
    // Things.
    case device, component, peripheral, memoryMap, addressBlock, registerFile, cluster, register
    case field, enumeratedValues, enumeratedValue, cpu
    // What only holds them, or parts of them.
    case peripherals, registers, fields, memoryMaps, resets, reset, writeConstraint
    case writeValueConstraint, accessPolicies, accessPolicy, fieldAccessPolicies
    case fieldAccessPolicy, array
    // Values. `range` holds others in SVD.
    case range, name, description, displayName, baseAddress, addressOffset, size, width, access
    case resetValue, resetMask, value, mask, dim, dimIncrement, dimIndex, stride
    case addressUnitBits, bitRange, lsb, msb, bitOffset, bitWidth, readAction, modifiedWriteValues
    case modifiedWriteValue, minimum, maximum, useEnumeratedValues, writeAsRead, usage, isDefault
    case endian

    var isThing: Bool {
        switch self {
        case .device, .component, .peripheral, .memoryMap, .addressBlock, .registerFile, .cluster,
            .register, .field, .enumeratedValues, .enumeratedValue, .cpu:
            true
        default: false
        }
    }

    var isHolder: Bool {
        switch self {
        case .peripherals, .registers, .fields, .memoryMaps, .resets, .reset, .writeConstraint,
            .writeValueConstraint, .accessPolicies, .accessPolicy, .fieldAccessPolicies,
            .fieldAccessPolicy, .array, .range:
            true
        default: false
        }
    }

    /// By length and first letter: a file has a million elements, too many to make and hash a string
    /// of each.
    private static let buckets = {
        var buckets = [[(name: [CChar], tag: XMLTag)]](repeating: [], count: 64)
        for tag in allCases {
            let name = tag.rawValue.utf8.map { CChar(bitPattern: $0) }
            buckets[bucket(name[0], name.count)].append((name, tag))
        }
        return buckets
    }()

    private static func bucket(_ first: CChar, _ count: Int) -> Int {
        (Int(first) &+ count &* 7) & 63
    }

    /// - Parameter name: of an element, with a name space (`ipxact:register`) or without.
    static func named(_ name: UnsafePointer<CChar>) -> XMLTag? {
        let whole = unsafe UnsafeBufferPointer(start: name, count: strlen(name))
        let colon = unsafe whole.firstIndex(of: CChar(bitPattern: UInt8(ascii: ":")))
        let local = unsafe whole[(colon.map { $0 + 1 } ?? 0)...]
        guard let first = unsafe local.first else { return nil }
        return unsafe buckets[bucket(first, local.count)]
            .first { unsafe local.elementsEqual($0.name) }?.tag
    }
}

/// A thing of an XML file: its values, and the things in it.
final class XMLItem {
    let tag: XMLTag
    let line: Int
    var derivedFrom: String?
    var values: [(tag: XMLTag, text: String)] = []
    var children: [XMLItem] = []
    /// While what it derives from is looked for.
    var isVisited = false

    init(_ tag: XMLTag, line: Int) {
        self.tag = tag
        self.line = line
    }

    subscript(tag: XMLTag) -> String? { values.first { $0.tag == tag }?.text }
    var name: String { self[.name] ?? "" }
    func number(_ tag: XMLTag) -> UInt64? { self[tag].flatMap { MapNumber.parse($0) } }
    func children(_ tag: XMLTag) -> [XMLItem] { children.filter { $0.tag == tag } }
}

/// Makes items of XML, by expat: elements that nobody wants are not kept.
///
/// *Safety*: expat calls back on this thread, from within `XML_Parse`, with its own pointers.
@safe final class XMLReader {
    private static let longestText = 1 << 16
    private static let mostItems = 1_500_000
    private static let deepest = 64

    private let path: String
    private let parser: XML_Parser
    private var root: XMLItem?
    private var stack: [XMLItem] = []
    /// One for each open element that is kept.
    private var open: [XMLTag] = []
    /// Open elements below one that nobody wants.
    private var skipped = 0
    private var text: [UInt8] = []
    private var leaf: XMLTag?
    private var count = 0
    private var failure: MapError?

    private init(_ path: String) throws(MapError) {
        self.path = path
        guard let parser = unsafe XML_ParserCreate(nil) else {
            throw MapError(path, "out of memory", .noMemory)
        }
        unsafe self.parser = parser
    }

    deinit { unsafe XML_ParserFree(parser) }

    static func read(_ bytes: [UInt8], _ path: String) throws(MapError) -> XMLItem {
        let reader = try XMLReader(path)
        reader.listen()
        let status = unsafe bytes.withUnsafeBytes { bytes in
            unsafe XML_Parse(
                reader.parser, bytes.bindMemory(to: CChar.self).baseAddress,
                CInt(clamping: bytes.count), 1)
        }
        if let failure = reader.failure { throw failure }
        guard status == XML_STATUS_OK else {
            let why = unsafe String(
                cString: cmaps_xml_why(CInt(bitPattern: XML_GetErrorCode(reader.parser).rawValue)))
            throw MapError(path, line: reader.line, why)
        }
        guard let root = reader.root else {
            throw MapError(path, "it is neither CMSIS-SVD nor IP-XACT")
        }
        return root
    }

    private var line: Int { unsafe Int(clamping: XML_GetCurrentLineNumber(parser)) }

    private static func of(_ user: UnsafeMutableRawPointer?) -> XMLReader? {
        unsafe user.map { unsafe Unmanaged<XMLReader>.fromOpaque($0).takeUnretainedValue() }
    }

    private func listen() {
        unsafe XML_SetUserData(parser, Unmanaged.passUnretained(self).toOpaque())
        unsafe XML_SetElementHandler(
            parser,
            { user, name, attributes in
                guard let name = unsafe name else { return }
                unsafe XMLReader.of(user)?.begin(name, attributes)
            }, { user, _ in unsafe XMLReader.of(user)?.end() })
        unsafe XML_SetCharacterDataHandler(parser) { user, text, count in
            guard let reader = unsafe XMLReader.of(user), reader.leaf != nil,
                let text = unsafe text
            else { return }
            let bytes = unsafe UnsafeRawBufferPointer(start: text, count: Int(count))
            guard reader.text.count + bytes.count <= XMLReader.longestText else {
                return reader.fail("a text of more than \(XMLReader.longestText) bytes")
            }
            unsafe reader.text.append(contentsOf: bytes)
        }
        // A map has no use for them, and a few lines of them can be gigabytes.
        unsafe XML_SetEntityDeclHandler(parser) { user, _, _, _, _, _, _, _, _ in
            unsafe XMLReader.of(user)?.fail("it declares an entity, which maps do not have")
        }
    }

    private func fail(_ why: String) {
        guard failure == nil else { return }
        failure = MapError(path, line: line, why)
        unsafe XML_StopParser(parser, 0)
    }

    private func begin(
        _ name: UnsafePointer<CChar>,
        _ attributes: UnsafeMutablePointer<UnsafePointer<CChar>?>?
    ) {
        if skipped > 0 || open.count >= Self.deepest {
            skipped += 1
            return
        }
        guard let tag = unsafe XMLTag.named(name),
            !stack.isEmpty || tag == .device || tag == .component
        else {
            skipped = 1
            return
        }
        open.append(tag)
        if tag.isThing {
            count += 1
            guard count <= Self.mostItems else { return fail("more than \(Self.mostItems) things") }
            let item = XMLItem(tag, line: line)
            unsafe Self.read(attributes, to: item)
            stack.last?.children.append(item)
            stack.append(item)
            if root == nil { root = item }
            leaf = nil
        } else {
            text.removeAll(keepingCapacity: true)
            leaf = tag
        }
    }

    /// `derivedFrom` of SVD, `usage` of a value of IP-XACT.
    private static func read(
        _ attributes: UnsafeMutablePointer<UnsafePointer<CChar>?>?, to item: XMLItem
    ) {
        guard var next = unsafe attributes else { return }
        while let name = unsafe next[0], let value = unsafe next[1] {
            // With a name space, too.
            switch unsafe String(cString: name).split(separator: ":").last {
            case "derivedFrom": unsafe item.derivedFrom = String(cString: value)
            case "usage" where item.tag == .enumeratedValue:
                item.values.append((.usage, unsafe String(cString: value)))
            default: break
            }
            unsafe next += 2
        }
    }

    private func end() {
        if skipped > 0 {
            skipped -= 1
            return
        }
        guard let tag = open.popLast() else { return }
        if tag.isThing {
            stack.removeLast()
        } else if leaf == tag, let item = stack.last, item[tag] == nil || tag == .dim {
            let text = String(decoding: text, as: UTF8.self)
            let trimmed = text.trimmingBlanks
            if !trimmed.isEmpty || !tag.isHolder { item.values.append((tag, trimmed)) }
        }
        leaf = nil
    }
}

extension String {
    var trimmingBlanks: String {
        let plain: ClosedRange<UInt8> = 0x21...0x7e
        if let first = utf8.first, let last = utf8.last, plain.contains(first), plain.contains(last)
        {
            return self
        }
        let start = firstIndex { !$0.isWhitespace }
        guard let start, let last = lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(self[start...last])
    }
}
