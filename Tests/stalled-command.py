# Usage: stalled-command.py MOUNT FILE
#
# As root. An ordinary user writes to a command file from a page that never comes: the kernel holds the
# lock of that file's inode meanwhile. All others write to it all the same, and so does he.
import mmap
import os
import signal
import sys

from unanswered import USER, OneFile, child, ends

BOUND = 1


def main(mount, name):
    os.chdir(mount)
    line = {
        "control/alloc": "b{} 4K\n", "control/stream": "s{} remove\n", "signals/go/notify": "{} off\n",
        "signals/go/trigger": "{}\n",
    }[name]
    file = OneFile()

    def stall():
        page = mmap.mmap(os.open(file.place.name, os.O_RDONLY), 4096, prot=mmap.PROT_READ)
        descriptor = os.open(name, os.O_WRONLY)
        try:
            os.write(descriptor, page)
        except OSError:
            pass

    def write(number):
        descriptor = os.open(name, os.O_WRONLY)
        try:
            os.write(descriptor, line.format(number).encode())
        except OSError:
            # Refused, but answered.
            pass

    holder = child(stall, USER)
    try:
        os.read(file.asked, 1)
        for number in range(1, 11):
            assert ends(child(lambda: write(number)), BOUND), "root's write waits"
            assert ends(child(lambda: write(number + 100), USER), BOUND), "a user's write waits"
        assert not ends(holder, 0.01), "the write was not stalled"
    finally:
        file.end()
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)


main(os.path.realpath(sys.argv[1]), sys.argv[2])
