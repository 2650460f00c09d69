import Glibc
import Testing

extension MountTests {
    /// docs/get-started.md: "Each command here is run by a test."
    @Suite(.enabled(if: Mode.hasPassthrough, "the tour maps buffers: \(Mode.whyNoPassthrough)"))
    struct Tour {
        /// One step: the commands of an `sh` block, and the `text` block below it.
        private struct Step {
            var commands: [Substring] = []
            var prints: [Substring] = []
        }

        private static func steps(of page: String) throws -> [Step] {
            var steps: [Step] = []
            var fence: Substring?
            for line in try text(of: "\(Machine.package)/\(page)").split(
                separator: "\n", omittingEmptySubsequences: false)
            {
                if line.hasPrefix("```") {
                    fence = fence == nil ? line : nil
                    if fence == "```sh" { steps.append(Step()) }
                } else if fence == "```sh" {
                    steps[steps.count - 1].commands.append(line)
                } else if fence == "```text" {
                    steps[steps.count - 1].prints.append(line)
                }
            }
            return steps
        }

        /// True if the lines are these, in order, where `...` stands for any text, or any lines.
        private static func fits(_ lines: [Substring], _ pattern: [Substring]) -> Bool {
            guard let first = pattern.first else { return lines.isEmpty }
            if first == "..." {
                return (0...lines.count).contains {
                    fits(Array(lines.dropFirst($0)), Array(pattern.dropFirst()))
                }
            }
            guard let line = lines.first, fits(line, first) else {
                return false
            }
            return fits(Array(lines.dropFirst()), Array(pattern.dropFirst()))
        }

        /// Blanks at the ends of a part do not count: columns are wide.
        private static func fits(_ line: Substring, _ pattern: Substring) -> Bool {
            guard pattern.contains("...") else {
                return line.split(separator: " ") == pattern.split(separator: " ")
            }
            var rest = line
            for part in pattern.split(separator: "...") {
                let words = part.split(separator: " ", omittingEmptySubsequences: false)
                    .drop { $0.isEmpty }.reversed().drop { $0.isEmpty }.reversed()
                guard let range = rest.firstRange(of: words.joined(separator: " ")) else {
                    return false
                }
                rest = rest[range.upperBound...]
            }
            return true
        }

        /// The tour has fixed names, which may be in use by whoever took it.
        private static func isFree(_ device: String) -> Bool {
            !exists("/run/devfs/\(device)")
        }

        /// Runs the steps of a page, and compares what each prints with what stands below it. They mount
        /// `device` at a directory of that name in the home directory, and leave nothing.
        private func follow(
            _ page: String, mounting device: String, at place: String, pause: String
        ) throws {
            let home = "/tmp/devfs-test-\(device)-\(getpid())"
            _ = try checked { unsafe mkdir(home, 0o755) }
            defer {
                _ = Machine.shell(
                    "cd /; fusermount3 -u -z \(home)/\(place); "
                        + "\(Machine.devfs) device remove memory:\(device); rm -rf \(home)")
            }
            let steps = try Self.steps(of: page)
            #expect(steps.count > 3)
            let script = steps.map { $0.commands.joined(separator: "\n") }
                .joined(separator: "\necho ---\n")
                .replacing("$PWD/.build/release/devfs", with: Machine.devfs)
            let output = try Child([
                "env", "HOME=\(home)", "bash", "-e", "-c",
                "sudo() { \"$@\"; }\n\(pause)\n\(script)",
            ]).wait(within: .seconds(45))
            #expect(output.status == 0, "\(output.text)\n\(output.error)")
            let printed = output.text.split(separator: "---\n", omittingEmptySubsequences: false)
            try #require(printed.count == steps.count)
            for (step, text) in zip(steps, printed) {
                let lines = text.split(separator: "\n")
                #expect(Self.fits(lines, step.prints), "\(step.prints) is not \(lines)")
            }
            #expect(!exists("/run/devfs/\(device)"))
        }

        /// Typed at once, and by someone who needs longer for each command than any timer runs.
        @Test(
            .enabled(if: isFree("tour"), "memory:tour is there: devfs device remove memory:tour"),
            arguments: ["", "trap 'sleep 0.2' DEBUG"])
        func `every step of the tour prints what stands below it`(pause: String) throws {
            try follow("docs/get-started.md", mounting: "tour", at: "dma", pause: pause)
        }

        @Test(
            .enabled(if: isFree("python"), "memory:python is there"),
            .enabled(if: isFree("fpga"), "memory:fpga is there"),
            arguments: [("python", "python"), ("stream", "fpga")])
        func `every step of a tutorial prints what stands below it`(page: String, device: String)
            throws
        {
            try follow("docs/tutorials/\(page).md", mounting: device, at: device, pause: "")
        }

        @Test(.enabled(if: isFree("demo"), "memory:demo is there: devfs device remove memory:demo"))
        func `the demo of make run works, twice, and leaves the device mounted`() throws {
            let root = "/tmp/devfs-test-demo-\(getpid())"
            defer {
                _ = Machine.shell(
                    "fusermount3 -u -z \(root); \(Machine.devfs) device remove memory:demo; "
                        + "rmdir \(root)")
            }
            for _ in 0..<2 {
                let output = try Child([
                    "env", "DEVFS=\(Machine.devfs)", "\(Machine.package)/docs/demo.sh", root,
                ]).wait(within: .seconds(25))
                #expect(output.status == 0, "\(output.text)\n\(output.error)")
                #expect(output.text.contains("\n    equal\n"))
                #expect(output.text.contains("SIGUSR1 caught"))
                #expect(exists("\(root)/version"))
            }
        }
    }
}
