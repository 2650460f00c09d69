"""DevFS mounts and their peers, each with an end."""

import contextlib
import itertools
import os
import signal
import subprocess
import tempfile
import time

from core import Unavailable, execute

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, ".build-bench")
DEVFS = os.environ.get("DEVFS_BINARY") or os.path.join(ROOT, ".build/release/devfs")
# The same without debug information, which valgrind may not be able to read.
STRIPPED = os.path.join(BUILD, "devfs")
PROBE = os.path.join(BUILD, "probe")
SERVER = os.path.join(BUILD, "server")
PASSTHROUGH_HP = os.path.join(BUILD, "passthrough_hp")
URING = "/sys/module/fuse/parameters/enable_uring"

_numbers = itertools.count(1)


def _is_mounted(path):
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        return any(line.split()[1] == path for line in mounts)


class Served:
    """A mount point with the process that serves it."""

    def __init__(self, command, log):
        self.directory = tempfile.mkdtemp(prefix="devfs-bench-")
        self.root = os.path.join(self.directory, "mnt")
        os.mkdir(self.root)
        self._log = open(os.path.join(self.directory, log), "w+", encoding="utf-8")
        words = [self.root if word is None else word for word in command]
        self.started = time.monotonic_ns()
        self.process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)

    @property
    def pid(self):
        return self.process.pid

    def wait_until_mounted(self, seconds=60):
        """Until the mount point is one and answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if _is_mounted(self.root):
                with contextlib.suppress(OSError):
                    os.stat(self.root)
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.0005)
        self._log.seek(0)
        said = self._log.read().strip().splitlines()
        self.stop()
        raise Unavailable(said[-1][:200] if said else "the mount did not come")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        if _is_mounted(self.root):
            subprocess.run(["fusermount3", "-u", "-z", self.root], check=False)
        self._log.close()
        with contextlib.suppress(OSError):
            os.unlink(self._log.name)
            os.rmdir(self.root)
            os.rmdir(self.directory)

    def run_on(self, processors):
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            # It may have ended.
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), processors)

    def path(self, *parts):
        return os.path.join(self.root, *parts)


class DevFS(Served):
    """A memory device of its own; `wrapper` is a command that the server is run by."""

    def __init__(self, *options, size="4G", wrapper=(), name=None):
        self.name = name or f"bench-{os.getpid()}-{next(_numbers)}"
        self.device = f"memory:{self.name}"
        words = [f"size={size}", *options]
        super().__init__(
            [*wrapper, STRIPPED if wrapper else DEVFS, "mount", "-f", "-o", ",".join(words),
             self.device, None], "log")

    def stop(self, keeps_device=False):
        super().stop()
        if not keeps_device:
            for _ in range(50):
                if subprocess.run(
                    [DEVFS, "device", "remove", self.device], check=False,
                    stderr=subprocess.DEVNULL).returncode == 0:
                    break
                time.sleep(0.1)

    def put(self, file, text):
        """One write(2) to a command file."""
        descriptor = os.open(self.path(file), os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def allocate(self, name, size, heap="system"):
        """A buffer with all its memory touched; its path in the mount."""
        self.put("control/alloc", f"{name} {size} heap={heap}\n")
        execute(["dd", "if=/dev/zero", f"of={self.inode(name)}", "bs=1M", "conv=notrunc",
                 f"count={size}", "iflag=count_bytes", "status=none"])
        return self.path("buffers", name)

    def inode(self, name):
        """The same inode by a path that is not through the mount."""
        data = f"/run/devfs/{self.name}/data"
        number = os.readlink(f"{data}/buffers/{name}").split()[0]
        return f"{data}/files/{number}/data"

    def feature(self, name):
        """Whether the mount has it, and why not."""
        with open(self.path("features"), encoding="utf-8") as features:
            for line in features:
                words = line.split(None, 2)
                if words[0] == name:
                    return words[1] == "yes", (words[2].strip() if len(words) > 2 else "")
        return False, "this devfs does not know of it"


@contextlib.contextmanager
def devfs(*options, needs=(), **settings):
    """A mounted DevFS; `Unavailable` where one of the features in `needs` is missing."""
    mount = DevFS(*options, **settings)
    try:
        mount.wait_until_mounted()
        for feature in needs:
            has, why = mount.feature(feature)
            if not has:
                raise Unavailable(f"no {feature}: {why}")
        yield mount
    finally:
        mount.stop()


@contextlib.contextmanager
def c_server(files, *flags, wrapper=()):
    """Our C server over these files."""
    served = Served([*wrapper, SERVER, *flags, None, *files], "log")
    try:
        served.wait_until_mounted()
        yield served
    finally:
        served.stop()


@contextlib.contextmanager
def passthrough_hp(source):
    """libfuse's example passthrough_hp over a directory."""
    if not os.path.exists(PASSTHROUGH_HP):
        reason = "it was not built"
        with contextlib.suppress(OSError):
            with open(os.path.join(BUILD, "unavailable"), encoding="utf-8") as file:
                reason = file.read().strip()
        raise Unavailable(f"passthrough_hp: {reason}")
    served = Served([PASSTHROUGH_HP, "--foreground", source, None], "log")
    try:
        served.wait_until_mounted()
        yield served
    finally:
        served.stop()


@contextlib.contextmanager
def uring_enabled():
    """FUSE over io_uring, which the kernel has switched off, for the time of it."""
    try:
        with open(URING, encoding="utf-8") as file:
            before = file.read().strip()
        if before != "Y":
            with open(URING, "w", encoding="utf-8") as file:
                file.write("1")
    except OSError as error:
        raise Unavailable(f"FUSE over io_uring: {error.strerror}: {URING}") from error
    try:
        yield
    finally:
        if before != "Y":
            with open(URING, "w", encoding="utf-8") as file:
                file.write("0")


@contextlib.contextmanager
def on_one_processor(*servers):
    """Servers, and what is started here: whether a scheduler wakes a thread here or over there is
    half of a request's time, stays so for seconds, and is no server's merit."""
    processors = os.sched_getaffinity(0)
    for server in servers:
        server.run_on({max(processors)})
    os.sched_setaffinity(0, {max(processors)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, processors)
        for server in servers:
            server.run_on(processors)


@contextlib.contextmanager
def awake():
    """Keeps each processor from halting, by a process that runs when nothing else wants to: waking
    a halted virtual processor takes 50 us and, one time in a hundred, milliseconds."""
    def idle(processor):
        os.sched_setaffinity(0, {processor})
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    spinners = [
        subprocess.Popen([PROBE, "spin"], preexec_fn=lambda: idle(processor))  # noqa: B023
        for processor in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def strip():
    """Makes `STRIPPED`."""
    execute(["objcopy", "--strip-debug", DEVFS, STRIPPED])


def probe(*words, timeout=120):
    """The numbers that the probe prints."""
    out = execute([PROBE, *map(str, words)], timeout=timeout)
    return [float(number) for number in out.split()]
