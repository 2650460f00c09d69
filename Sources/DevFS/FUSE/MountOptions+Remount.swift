/// What a remount can't change.
extension MountOptions {
    /// Those of the options that were given, other than `running`, the options that the mount was
    /// made with, has them: to have these it has to be unmounted and mounted.
    ///
    /// mount(8) gives a remount all options of its line in fstab(5) again, so what is as it was is no
    /// error.
    package func unchangeable(from running: MountOptions, source: String) -> [String] {
        var fixed: [(names: [String], isSame: Bool)] = [
            (["uid"], uid == running.uid), (["gid"], gid == running.gid),
            (["umask"], umask == running.umask), (["heap"], heap == running.heap),
            (["allow_other"], allowOther == running.allowOther),
            (["passthrough", "no_passthrough"], passthrough == running.passthrough),
            (["io_uring", "no_io_uring"], ioUring == running.ioUring),
            (["poll", "no_poll"], poll == running.poll),
            (["sandbox", "no_sandbox"], sandbox == running.sandbox),
            (["dma_bits"], dmaBits == running.dmaBits),
        ]
        for word in Set(quotas.keys) {
            fixed.append((["quota_\(word)"], quotas[word] == running.quotas[word]))
        }
        if source.hasPrefix("/") {
            fixed += [(["size"], size == running.size), (["huge"], hugePages == running.hugePages)]
        }
        return fixed.filter { !$0.isSame }.flatMap(\.names).filter(given.contains).sorted()
    }
}
