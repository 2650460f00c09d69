import Testing

/// Tests of real mounts, one after the other: they measure time, memory and descriptors.
@Suite(
    .serialized, .timeLimit(.minutes(1)),
    .enabled(
        if: Machine.canMount,
        "mounts need a /dev/fuse that can be opened, python3 and the built devfs"))
struct MountTests {}
