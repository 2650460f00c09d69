import ArgumentParser
import DevFS
import DevFSClient
import Glibc
import SystemPackage

struct WaitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract: "Wait for events of a signal and print a line for each.",
        usage: "devfs wait [<mount>] <signal> [--count <count>] [--timeout <seconds>] [--json]",
        discussion: """
            A line is `SEQ COUNT MISSED NS`: number of the event, events so far, events that this \
            command was too slow for, and CLOCK_MONOTONIC of the event in nanoseconds. \
            Exits with 124 if the time is over before all events came.

            EXAMPLE
              devfs wait /mnt/dma/signals/irq0
              devfs wait /mnt/dma irq0 --count 10 --timeout 2.5
            """)

    @Argument(
        help: ArgumentHelp(
            "Path of the signal, or the mount and its name.", valueName: "signal"),
        completion: Completions.operands(.signals))
    var words: [String]

    @Option(name: [.short, .long], help: "How many events to wait for; 0 goes on until Ctrl-C.")
    var count: UInt64 = 1

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("How long to wait for all of them.", valueName: "seconds"))
    var timeout: Seconds?

    @Flag(help: "Print each event as a line of JSON.")
    var json = false

    func validate() throws {
        // It is over by then, whether the server answers or not.
        Answers.shorten(to: timeout)
    }

    func run() throws {
        let operands = try Operands(words, in: .signals)
        try operands.end()
        let (tree, signal) = (operands.tree, operands.name)
        let what = "waiting for \(signal.text)"
        let interrupts = try Interrupts()
        let deadline = Deadline(after: timeout)
        let file = try tree.openToWait("signals/\(signal.text)/wait", for: what)
        defer { try? file.close() }
        var progress = Progress()
        defer { progress.clear() }
        var seen: UInt64 = 0
        while count == 0 || seen < count {
            try interrupts.check(what)
            // A terminal gets the time that went by, each second.
            guard let wait = deadline.milliseconds(atMost: progress.isShown ? 1000 : -1) else {
                throw Failure(what, "timed out after \(seen) events", status: .timedOut)
            }
            let events = try tree.doing(what) {
                try interrupts.poll(file, POLLIN, timeout: wait)
            }
            if events != 0, let line = try next(of: file, tree, what) {
                progress.clear()
                try show(line)
                seen += 1
            }
            let total = count == 0 ? "" : " of \(count)"
            progress.show { "\(what): \(seen)\(total) events, \($0.components.seconds) s" }
        }
    }

    /// The next line; nil if there is none after all.
    private func next(of file: FileDescriptor, _ tree: Tree, _ what: String) throws -> String? {
        var bytes = [UInt8](repeating: 0, count: 256)
        do {
            let length = try unsafe bytes.withUnsafeMutableBytes {
                try unsafe file.read(into: $0, retryOnInterrupt: false)
            }
            guard length > 0 else { throw Errno.operationNotSupportedByDevice }
            return String(decoding: bytes[..<length].prefix { $0 != 10 }, as: UTF8.self)
        } catch Errno.resourceTemporarilyUnavailable, Errno.interrupted {
            return nil
        } catch Errno.operationNotSupportedByDevice {
            throw Failure(what, "the signal was removed")
        } catch let errno as Errno {
            throw tree.failure(what, errno)
        }
    }

    private func show(_ line: String) throws {
        if json, let event = SignalEvent(line) { return try Output.jsonLine(event) }
        try Output.line(line)
    }
}
