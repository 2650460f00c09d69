import Glibc
import Testing

extension MountTests {
    /// README.md: "Each command here is run by a test."
    @Suite(.enabled(if: Mode.hasPassthrough, "the tour maps buffers: \(Mode.whyNoPassthrough)"))
    struct Tour {
        /// The commands of the `sh` blocks of a page, in order, as one script.
        private static func script(of page: String) throws -> String {
            var lines: [Substring] = []
            var isInside = false
            for line in try text(of: "\(Machine.package)/\(page)").split(
                separator: "\n", omittingEmptySubsequences: false)
            {
                if line.hasPrefix("```") {
                    isInside = line == "```sh"
                } else if isInside {
                    lines.append(line)
                }
            }
            return lines.joined(separator: "\n")
        }

        /// The tour has fixed names, which may be in use by whoever took it.
        private static func isFree(_ device: String) -> Bool {
            !exists("/run/devfs/\(device)")
        }

        @Test(.enabled(if: isFree("tour"), "memory:tour is there: devfs device remove memory:tour"))
        func `every command of the README's tour works`() throws {
            let root = "/tmp/devfs-test-tour-\(getpid())"
            var script = try Self.script(of: "README.md")
            #expect(script.contains("devfs mount memory:tour /tmp/dma"))
            script = script.replacing("/tmp/dma", with: root)
            script = script.replacing("$PWD/.build/release", with: "$DEVFS_FOLDER")
            let folder = Machine.devfs.split(separator: "/").dropLast().map { "/" + $0 }.joined()
            defer {
                _ = Machine.shell(
                    "cd /; fusermount3 -u -z \(root); \(Machine.devfs) device remove memory:tour; "
                        + "rmdir \(root)")
            }
            let output = try Child([
                "env", "DEVFS_FOLDER=\(folder)", "bash", "-e", "-c", script,
            ]).wait(within: .seconds(50))
            #expect(output.status == 0, "\(output.text)\n\(output.error)")
            for words in [
                "passthrough yes", "the mapping and the file are one memory", "caught SIGUSR1",
                "nothing is lost", "more than the heap limit leaves",
            ] {
                #expect(output.text.contains(words), "\(words) is missing in \(output.text)")
            }
            #expect(!exists("/run/devfs/tour"))
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
