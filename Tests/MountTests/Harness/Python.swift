/// Python scripts as tests use them.
enum Python {
    /// Imports, and helpers: `refused` for errnos, `within` for conditions, `lib` for the C library.
    static let prelude = """
        import ctypes, errno, fcntl, mmap, os, select, signal, socket, struct, sys, threading, time
        lib = ctypes.CDLL(None, use_errno=True)

        def refused(code, call, *arguments, **named):
            try:
                result = call(*arguments, **named)
            except OSError as error:
                got = errno.errorcode.get(error.errno, error.errno)
                assert error.errno == code, f"{got} instead of {errno.errorcode[code]}"
            else:
                raise AssertionError(f"no {errno.errorcode[code]} but {result!r}")

        def checked(result):
            if result < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            return result

        def within(condition, seconds=10):
            deadline = time.monotonic() + seconds
            while not condition():
                assert time.monotonic() < deadline, "it never became so"
                time.sleep(0.001)

        def put(path, text):
            descriptor = os.open(path, os.O_WRONLY)
            try:
                return os.write(descriptor, text.encode())
            finally:
                os.close(descriptor)

        def get(path):
            with open(path) as file:
                return file.read()

        """

    static func command(_ script: String, _ arguments: [String]) -> [String] {
        [Machine.python, "-c", prelude + script] + arguments
    }
}
