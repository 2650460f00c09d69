import CFuse
import Glibc
import SystemPackage

/// An open file descriptor, closed when its owner goes.
package struct Descriptor: ~Copyable, Sendable {
    /// The number, for calls that this type has no method for. Not to be closed.
    package let raw: CInt

    /// Takes ownership of `raw`, which must be open.
    package init(owning raw: CInt) {
        self.raw = raw
    }

    deinit {
        // EBADF here means that someone closed a descriptor that is ours: our own bug, and the
        // number may already be someone else's.
        precondition(close(raw) == 0 || errno != EBADF, "descriptor \(raw) was closed twice")
    }

    /// Gives the number up without closing it.
    package consuming func take() -> CInt {
        let raw = self.raw
        discard self
        return raw
    }
}

/// A descriptor that several owners share; closed when the last of them goes.
package final class SharedDescriptor: Sendable {
    private let descriptor: Descriptor

    package init(_ descriptor: consuming Descriptor) {
        self.descriptor = descriptor
    }

    package var raw: CInt { descriptor.raw }
}

/// The error of the system call that just failed on this thread.
var lastError: Errno { Errno(rawValue: errno) }

/// Throws the thread's errno where `result` is -1. EINTR is tried again.
@discardableResult
func check<T: SignedInteger>(_ call: () -> T) throws(Errno) -> T {
    while true {
        let result = call()
        if result != -1 { return result }
        if lastError != .interrupted { throw lastError }
    }
}

extension Errno {
    /// ENODEV in short.
    static var noDevice: Errno { .operationNotSupportedByDevice }
}
