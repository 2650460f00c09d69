import Glibc

/// What this machine can do, and lets a test do. Each test target says more of it.
package enum Machine {
    package static let isRoot = geteuid() == 0
}
