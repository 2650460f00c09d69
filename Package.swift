// swift-tools-version: 6.2
import Foundation
import PackageDescription

// `.ci/setup` builds a newer libfuse into .deps/ where the distribution's has no passthrough, and
// lists in .deps/lib/libs what has to be linked. Without it the distribution's libfuse3 is used.
let deps = "\(Context.packageDirectory)/.deps"
let ownLibraries = (try? String(contentsOfFile: "\(deps)/lib/libs", encoding: .utf8))
    .map { $0.split(separator: "\n").map(String.init) }

let fuseHeaders: [CSetting] = ownLibraries == nil ? [] : [.unsafeFlags(["-I\(deps)/include"])]
let fuseLibraries: [LinkerSetting] =
    (ownLibraries == nil ? [] : [.unsafeFlags(["-L\(deps)/lib"])])
    + (ownLibraries ?? ["fuse3"]).map { .linkedLibrary($0) }
// The Swift importer reads CFuse's header, and with it libfuse's.
let importHeaders = ownLibraries == nil ? [] : ["-Xcc", "-I\(deps)/include"]

// A package that depends on this one by its version takes no target with flags of its own.
let portable: [SwiftSetting] = [
    .swiftLanguageMode(.v6), .strictMemorySafety(), .treatAllWarnings(as: .error),
]
let strict = portable + [.unsafeFlags(importHeaders)]

let package = Package(
    name: "devfs",
    products: [
        .executable(name: "devfs", targets: ["DevFSCommand"]),
        .library(name: "DevFSClient", targets: ["DevFSClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    ],
    targets: [
        // What the server and programs that use a mount have in common; nothing here needs libfuse.
        .target(name: "CDevFSBase"),
        .target(
            name: "DevFSBase",
            dependencies: [
                "CDevFSBase", .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: portable),
        .target(
            name: "DevFSClient",
            dependencies: [
                "CDevFSBase", "DevFSBase",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: portable + [.enableExperimentalFeature("Lifetimes")]),
        .target(name: "CFuse", cSettings: fuseHeaders, linkerSettings: fuseLibraries),
        .target(
            name: "DevFS",
            dependencies: [
                "CFuse", "DevFSBase",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        // Maps of registers are parsed here, before anything is mounted: requests have no parser. The
        // archives are linked, so that the program runs where the libraries are not.
        .target(
            name: "CMaps",
            linkerSettings: [
                .unsafeFlags(["-Xlinker", "-l:libexpat.a", "-Xlinker", "-l:libyaml.a"])
            ]),
        .target(
            name: "DevFSMaps",
            dependencies: [
                "CMaps", "DevFS",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        // The screens of `devfs top` and `devfs view`.
        .target(
            name: "CCurses",
            linkerSettings: [
                .unsafeFlags(["-Xlinker", "-l:libncursesw.a", "-Xlinker", "-l:libtinfo.a"])
            ]),
        .executableTarget(
            name: "DevFSCommand",
            dependencies: [
                "CCurses", "CFuse", "DevFS", "DevFSClient", "DevFSMaps",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .target(name: "TestSupport", path: "Tests/Support", swiftSettings: strict),
        .testTarget(
            name: "DevFSTests", dependencies: ["DevFS", "DevFSMaps", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "MountTests", dependencies: ["DevFSClient", "DevFSCommand", "TestSupport"],
            swiftSettings: strict),
    ]
)
