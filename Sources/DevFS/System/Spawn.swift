import CFuse
import Glibc

/// Other programs.
enum Spawn {
    /// Runs a program found by PATH and waits for it: its exit status, or -1. `posix_spawnp(3)`
    static func run(_ arguments: [String]) -> Int32 {
        guard let program = arguments.first else { return -1 }
        var texts = unsafe arguments.map { unsafe strdup($0) }
        unsafe texts.append(nil)
        defer { for index in unsafe texts.indices { unsafe free(texts[index]) } }
        var pid: pid_t = 0
        guard unsafe posix_spawnp(&pid, program, nil, nil, texts, Glibc.environ) == 0 else {
            return -1
        }
        var status: Int32 = 0
        while unsafe waitpid(pid, &status, 0) < 0 {
            guard errno == EINTR else { return -1 }
        }
        return status & 0x7f == 0 ? (status >> 8) & 0xff : -1
    }
}
