import DevFS
import FoundationEssentials
import SystemPackage

/// A picture in a file, by the Python package, which has matplotlib for it.
struct ViewFigure {
    /// What `devfs.plot` is told.
    private struct Task: Encodable {
        struct Layout: Encodable {
            var names: [String]
            var formats: [String]
            var offsets: [Int]
            var itemsize: Int
        }

        var path: String
        var layout: Layout
        var complex: Bool
        var rate: Double?
        var fft: Bool
        var offset: UInt64
        var bytes: UInt64?
        var output: String
        var force: Bool
    }

    private let task: Task
    private let what: String

    init(_ request: ViewRequest, _ output: String, force: Bool) {
        let layout = request.layout
        what = "drawing \(output)"
        task = Task(
            path: request.source.path,
            layout: Task.Layout(
                names: layout.fields.map(\.name), formats: layout.fields.map(\.numpy),
                offsets: layout.fields.map(\.offset), itemsize: layout.size),
            complex: layout.isComplex, rate: request.rate?.hertz, fft: request.isSpectrum,
            offset: request.offset,
            bytes: request.source.folder == .streams ? UInt64(request.window) : request.bytes,
            output: output, force: force)
    }

    /// No module is taken from the working directory, where anybody may have put one.
    private static let program = """
        import sys
        sys.path[:] = [place for place in sys.path if place]
        try:
            from devfs.plot import main
        except ImportError as error:
            if error.name not in ("devfs", "devfs.plot"):
                raise
            sys.exit(3)
        sys.exit(main(sys.argv[1:]))
        """

    func draw() throws {
        let text = String(decoding: try JSONEncoder().encode(task), as: UTF8.self)
        let ending: Processes.Ending
        do {
            ending = try Processes.run("python3", ["python3", "-c", Self.program, text])
        } catch Errno.noSuchFileOrDirectory {
            throw Failure(what, "there is no python3")
        } catch let errno as Errno {
            throw Failure(what, errno)
        }
        switch ending {
        case .exited(0): return
        case .exited(3):
            throw Failure(
                what,
                "python3 has no package devfs with a module plot: see python/ in the sources, and "
                    + "install it with matplotlib: `pip install 'devfs[plot]'`")
        case .exited(let status): throw Failure.silent(ExitStatus(rawValue: status) ?? .failed)
        case .killed(let signal): throw Failure(what, "python3 was ended by signal \(signal)")
        }
    }
}
