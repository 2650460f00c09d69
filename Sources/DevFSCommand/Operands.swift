import ArgumentParser
import DevFS
import SystemPackage

/// What a command works on: one thing of a folder of the tree, or several.
///
/// People type a path, `/mnt/dma/buffers/rx`, or the mount and a name, or in the tree the name alone.
/// A word is a path if it has a slash, or is `.` or `..`, or if the working directory is not on a
/// mount, where a name would mean nothing.
struct Operands {
    let tree: Tree
    /// The things of one tree.
    let names: [Name]
    /// What comes behind the names.
    let rest: [String]
    /// Where the path of the first leads to, where it was one.
    private(set) var folder: Folder?

    /// - Parameters:
    ///   - words: as typed.
    ///   - folder: where the things are.
    ///   - isList: every word behind the mount is one more of them.
    /// - Throws: `ValidationError` where no name is given or one is none; "nothing found" where a
    ///   path is not on a mount.
    init(
        _ words: [String], in folder: Folder, orIn other: Folder? = nil, isList: Bool = false
    ) throws {
        var words = words[...]
        var places: [Place] = []
        let folder = other.map { Self.leads(words.first, to: $0) ? $0 : folder } ?? folder
        let first = try Self.take(&words, in: folder)
        var tree = first.tree
        if let name = first.name {
            places.append(Place(tree: tree, name: name))
            self.folder = folder
        }
        while !words.isEmpty, isList || places.isEmpty {
            let word = words.removeFirst()
            if Self.isPath(word) && word.contains("/") {
                let (other, name) = try Self.look(word, in: folder)
                guard let name else { throw Self.missing(folder, in: word) }
                places.append(Place(tree: other, name: name))
            } else {
                places.append(Place(tree: tree, name: try Self.name(word)))
            }
        }
        guard let place = places.first else {
            throw Self.missing(folder, in: tree.mount.mountpoint)
        }
        tree = place.tree
        guard places.allSatisfy({ $0.tree.mount.id == tree.mount.id }) else {
            throw ValidationError("one mount at a time")
        }
        self.tree = tree
        names = places.map(\.name)
        rest = Array(words)
    }

    /// The one thing of a command that takes one.
    var name: Name { names[0] }

    /// - Throws: `ValidationError` where a word is left.
    func end() throws {
        if let word = rest.first { throw ValidationError("unexpected argument '\(word)'") }
    }

    /// Where the things of a kind are, and what one is called.
    enum Folder: String {
        case buffers
        case signals
        case streams

        var one: String { "\(rawValue.dropLast())" }

        /// The folders of the tree that have an entry for each of them.
        fileprivate var places: [String] {
            self == .buffers ? ["buffers", "attributes"] : [rawValue]
        }
    }

    /// True for a path of a thing of `folder`.
    private static func leads(_ word: String?, to folder: Folder) -> Bool {
        guard let word, isPath(word), let tree = try? Tree(containing: word),
            let path = try? Mounts.absolutePath(word)
        else { return false }
        let rest = FilePath(path).components
            .dropFirst(FilePath(tree.mount.mountpoint).components.count)
        return rest.count > 1 && folder.places.contains(rest.first?.string ?? "")
    }

    private struct Place {
        let tree: Tree
        let name: Name
    }

    private static func take(
        _ words: inout ArraySlice<String>, in folder: Folder
    ) throws -> (tree: Tree, name: Name?) {
        guard let word = words.first else {
            throw ValidationError("which \(folder.one)? Give its path, or the mount and its name")
        }
        guard isPath(word) else { return (try Tree(containing: "."), nil) }
        words.removeFirst()
        return try look(word, in: folder)
    }

    static func isPath(_ word: String) -> Bool {
        word.contains("/") || word == "." || word == ".." || !isInTree
    }

    private static let isInTree = (try? Mounts.containing(".")) != nil

    /// The tree that a path is in, and the name where it leads to a thing of `folder`, or into it.
    private static func look(
        _ path: String, in folder: Folder
    ) throws -> (tree: Tree, name: Name?) {
        let tree: Tree
        do {
            tree = try Tree(containing: path)
        } catch let failure as Failure where failure.status == .notFound && !path.contains("/") {
            throw Failure(
                path,
                "not on a DevFS mount, nor is the working directory: give the mount, or a "
                    + "path such as /mnt/dma/\(folder.rawValue)/\(path)", status: .notFound)
        }
        let rest = FilePath(try Mounts.absolutePath(path)).components
            .dropFirst(FilePath(tree.mount.mountpoint).components.count).map(\.string)
        guard rest.count > 1, folder.places.contains(rest[0]) else { return (tree, nil) }
        return (tree, try name(rest[1]))
    }

    private static func name(_ word: String) throws -> Name {
        guard let name = Name(word) else {
            throw ValidationError(
                "'\(word)' is not a name: 1 to 63 bytes of A-Za-z0-9._-, not starting with a dot")
        }
        return name
    }

    private static func missing(_ folder: Folder, in place: String) -> ValidationError {
        ValidationError("which \(folder.one) of \(place)? Its name is missing")
    }
}

extension [String] {
    /// The one word that may be left, as a value; nil where there is none.
    ///
    /// - Parameter what: what it should be, for people.
    func only<Value: ExpressibleByArgument>(_ type: Value.Type, _ what: String) throws -> Value? {
        guard count < 2 else { throw ValidationError("unexpected argument '\(self[1])'") }
        guard let word = first else { return nil }
        guard let value = Value(argument: word) else {
            throw ValidationError("'\(word)' is not \(what)")
        }
        return value
    }
}
