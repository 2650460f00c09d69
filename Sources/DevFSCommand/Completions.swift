import ArgumentParser
import DevFS
import SystemPackage

/// What a shell offers for a word that is being typed. It asks no mount of another user, who may
/// never answer.
enum Completions {
    /// Things of a folder of the tree, by name or path.
    static func operands(
        _ folder: Operands.Folder, or other: Operands.Folder? = nil, _ more: [String] = []
    ) -> CompletionKind {
        .custom { words, index, prefix in
            var found = paths(prefix)
            if !prefix.contains("/") {
                let before = words.prefix(max(0, index)).dropFirst(2)
                let place = before.first { Operands.isPath($0) && !$0.hasPrefix("-") } ?? "."
                found += names(folder, at: place) + mountpoints
                if let other { found += names(other, at: place) }
                if before.contains(where: { !$0.hasPrefix("-") }) { found += more }
            }
            return matching(found, prefix)
        }
    }

    /// A mount, then a register of it or a block of them: `dma/status`.
    static let registers = CompletionKind.custom { words, index, prefix in
        let before = words.prefix(max(0, index)).dropFirst(2).first { !$0.hasPrefix("-") }
        let place = before ?? "."
        var found: [String] = []
        if let tree = try? Tree(containing: place), !tree.mount.isStrangers {
            let folder = prefix.lastIndex(of: "/").map { String(prefix[...$0]) } ?? ""
            let names = (try? tree.names(in: "registers/\(folder)")) ?? []
            if !names.contains("info") { found = names.map { folder + $0 } }
        }
        if before == nil { found += paths(prefix) + (prefix.contains("/") ? [] : mountpoints) }
        return matching(found, prefix)
    }

    /// What can be mounted.
    static let sources = CompletionKind.custom { _, _, prefix in
        let memory = MemoryDevices.list().map { "memory:\($0.name)" }
        let nodes = DeviceBinder().nodes().map { "/dev/devfs/\($0)" }
        let vfio = PCIRecord.all(DeviceBinder()).compactMap(\.node).filter { !$0.hasPrefix("/") }
        return matching(["memory"] + memory + nodes + vfio, prefix)
    }

    static let memoryDevices = CompletionKind.custom { _, _, prefix in
        matching(MemoryDevices.list().map { "memory:\($0.name)" }, prefix)
    }

    /// PCI devices that the module or vfio-pci has, or could have.
    static func addresses(areBound: Bool) -> CompletionKind {
        .custom { _, _, prefix in
            let found = PCIRecord.all(DeviceBinder()).filter { ($0.node != nil) == areBound }
            return matching(found.map(\.address), prefix)
        }
    }

    /// Mounts of this user, and directories.
    static let mounts = CompletionKind.custom { _, _, prefix in
        matching(paths(prefix) + (prefix.contains("/") ? [] : mountpoints), prefix)
    }

    private static func matching(_ words: [String], _ prefix: String) -> [String] {
        Set(words.filter { $0.hasPrefix(prefix) }).sorted()
    }

    private static var mountpoints: [String] {
        ((try? Mounts.devfs()) ?? []).filter { !$0.isStrangers }.map(\.mountpoint)
    }

    private static func names(_ folder: Operands.Folder, at place: String) -> [String] {
        guard let tree = try? Tree(containing: place), !tree.mount.isStrangers else { return [] }
        return (try? tree.names(in: folder.rawValue)) ?? []
    }

    /// Entries of the directory that a word has got to, directories with a slash behind, which bash
    /// adds by itself.
    private static func paths(_ prefix: String) -> [String] {
        let folder = prefix.lastIndex(of: "/").map { String(prefix[...$0]) } ?? ""
        let place = folder.isEmpty ? "." : folder
        let mount = try? Mounts.containing(place)
        if mount?.isStrangers ?? false { return [] }
        let entries = (try? Syscalls.names(in: place)) ?? []
        let slash = Environment.variable("SAP_SHELL") == "bash" ? "" : "/"
        return entries.map { entry in
            let isFolder = (try? Stat(FilePath(folder + entry)))?.type == .directory
            return folder + entry + (isFolder ? slash : "")
        }
    }
}
