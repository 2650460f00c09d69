#!/usr/bin/env python3
"""Kills the server of a kept mount again and again while clients use it: none of them may notice.

    Tests/failover.py DEVFS DIRECTORY KILLS [--upgrade] [-o OPTIONS]

Clients make, rename and remove buffers (by O_EXCL, so that nothing may be done twice), give commands,
count events that they trigger, read `wait` without a gap, and write and verify buffers by passthrough
and by the server. Prints what it found, and exits with 1 where a client saw an error.
"""

import argparse
import os
import random
import re
import select
import signal
import statistics
import subprocess
import sys
import threading
import time
import traceback

parser = argparse.ArgumentParser()
parser.add_argument("devfs")
parser.add_argument("directory")
parser.add_argument("kills", type=int)
parser.add_argument("--upgrade", action="store_true")
parser.add_argument("--pause", type=float, default=0.4, help="the most between two kills, seconds")
parser.add_argument("--only", default="")
parser.add_argument("-o", default="")
arguments = parser.parse_args()
root = os.path.join(arguments.directory, "mnt")
device = f"memory:failover-{os.getpid()}"
faults = []
slowest = {}
usual = {}
ends = threading.Event()


def fault(text):
    faults.append(text)
    print("FAULT", text, flush=True)


def timed(kind, call, *what):
    begin = time.monotonic()
    try:
        return call(*what)
    finally:
        took = time.monotonic() - begin
        slowest[kind] = max(slowest.get(kind, 0), took)
        if len(usual.setdefault(kind, [])) < 20000:
            usual[kind].append(took)


def path(name):
    return f"{root}/{name}"


def write(name, text, flags=os.O_WRONLY):
    fd = os.open(path(name), flags)
    try:
        data = text.encode()
        if os.write(fd, data) != len(data):
            fault(f"a short write to {name}")
    finally:
        os.close(fd)


def read(name):
    with open(path(name)) as file:
        return file.read()


def names(own):
    """Makes, renames and removes: each step must be done once, and is checked."""
    turn = 0
    while not ends.is_set():
        turn += 1
        first, second = f"{own}-a{turn}", f"{own}-b{turn}"
        fd = timed("create", os.open, path(f"buffers/{first}"),
                   os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        os.pwrite(fd, first.encode(), 0)
        timed("rename", os.rename, path(f"buffers/{first}"), path(f"buffers/{second}"))
        if os.path.exists(path(f"buffers/{first}")):
            fault(f"{first} is there after its rename")
        if os.pread(fd, 100, 0) != first.encode():
            fault(f"{first} has other bytes")
        other = path(f"buffers/{own}-c{turn}")
        timed("create", lambda: os.close(os.open(other, os.O_RDWR | os.O_CREAT | os.O_EXCL)))
        timed("rename", os.rename, other, path(f"buffers/{second}"))
        timed("unlink", os.unlink, path(f"buffers/{second}"))
        if os.pread(fd, 100, 0) != first.encode():
            fault(f"{first} has other bytes after its end")
        os.fstat(fd)
        os.close(fd)


def commands(own):
    turn = 0
    while not ends.is_set():
        turn += 1
        name = f"{own}-{turn}"
        timed("command", write, "control/alloc", f"{name} 8K\n")
        if os.stat(path(f"buffers/{name}")).st_size != 8192:
            fault(f"{name} has another size")
        timed("command", write, "control/signal", f"{name} software\n")
        timed("command", write, f"signals/{name}/trigger", "3")
        if int(read(f"signals/{name}/count")) != 3:
            fault(f"{name} counts {read(f'signals/{name}/count').strip()} of 3 events")
        timed("command", write, "control/signal", f"{name} remove\n")
        timed("command", write, "control/free", f"{name}\n")


triggered = 0


def triggers():
    """Many events of one signal, whose count is looked at in the end."""
    global triggered
    while not ends.is_set():
        timed("trigger", write, "signals/many/trigger", "2")
        triggered += 2


read_events = 0


def waits(fd):
    """Every event of `many`, without a gap."""
    global read_events
    last = 0
    while True:
        line = os.read(fd, 200).split()
        if len(line) != 4:
            return fault(f"a line of wait has {line}")
        number, count, missed = (int(word) for word in line[:3])
        if number != last + 1 and missed == 0:
            fault(f"wait: event {number} after {last}")
        last = number
        read_events = last
        if ends.is_set() and number >= triggered:
            return os.close(fd)


def polls():
    fd = os.open(path("signals/tick/wait"), os.O_RDONLY | os.O_NONBLOCK)
    last = None
    while not ends.is_set():
        ready, _, _ = select.select([fd], [], [], 5)
        if not ready:
            fault("poll: no tick in 5 s")
            continue
        try:
            number, _, missed, _ = (int(word) for word in os.read(fd, 200).split())
        except BlockingIOError:
            continue
        if last is not None and number != last + 1 and missed == 0:
            fault(f"tick: event {number} after {last}")
        last = number
    os.close(fd)


words = 0


def streams():
    """The words of a stream, each once."""
    global words
    with open(path("streams/words/data"), "rb", buffering=0) as file:
        rest = b""
        while not ends.is_set():
            data = file.read(65536)
            if not data:
                return fault("the stream ended")
            rest += data
            count = len(rest) // 4
            given = memoryview(rest[:4 * count]).cast("I").tolist()
            expected = list(range(words, words + count))
            if given != expected:
                wrong = next(i for i, (a, b) in enumerate(zip(given, expected)) if a != b)
                fault(f"word {words + wrong} of the stream is {given[wrong]}")
                words = given[-1] + 1
            else:
                words += count
            rest = rest[4 * count:]


def bytes_of(own):
    fd = os.open(path(f"buffers/{own}"), os.O_RDWR | os.O_CREAT)
    os.truncate(path(f"buffers/{own}"), 1 << 20)
    turn = 0
    while not ends.is_set():
        turn = (turn + 1) % 256
        offset = random.randrange(0, (1 << 20) - 65536)
        size = random.randrange(1, 65536)
        data = bytes([turn]) * size
        if timed("write", os.pwrite, fd, data, offset) != size:
            fault("a short write")
        if timed("read", os.pread, fd, size, offset) != data:
            fault(f"{own}: other bytes at {offset}")
        timed("stat", os.fstat, fd)
    os.close(fd)


def lists():
    while not ends.is_set():
        found = os.listdir(path("buffers"))
        if "stays" not in found:
            fault("`stays` is not listed")
        if "stays 4096 " not in read("control/alloc"):
            fault("`stays` is not in control/alloc")


def guarded(call, *what):
    def run():
        try:
            call(*what)
        except Exception as error:
            line = traceback.extract_tb(error.__traceback__)[-1].lineno
            place = traceback.extract_tb(error.__traceback__)[1].lineno
            fault(f"{call.__name__}{what}, line {place}, {line}: {error!r}")
    thread = threading.Thread(target=run, daemon=True, name=f"{call.__name__}{what}")
    thread.start()
    return thread


def server():
    # By the keeper's child: a look at the mount would wait for it.
    children = open(f"/proc/{keeper}/task/{keeper}/children").read().split()
    return int(children[0]) if children else None


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def state():
    data = f"/run/devfs/{device.split(':')[1]}/data"
    files = sum(len(found) for _, _, found in os.walk(data))
    return {"server kB": resident(server()), "keeper kB": resident(keeper),
            "server fds": descriptors(server()), "keeper fds": descriptors(keeper),
            "files": files}


os.makedirs(root, exist_ok=True)
options = "size=64M,keeper,keeper_crashes=0" + ("," + arguments.o if arguments.o else "")
subprocess.run([arguments.devfs, "mount", device, root, "-o", options], check=True, timeout=30)
keeper = int(re.search(r"keeper\s+pid (\d+)", read("status"))[1])
write("control/alloc", "stays 4K\n")
write("control/signal", "many software\ntick timer period=10ms\n")
waiting = os.open(path("signals/many/wait"), os.O_RDONLY)
kinds = {
    "names": [(names, "n1"), (names, "n2"), (names, "n3"), (names, "n4")],
    "commands": [(commands, "c1"), (commands, "c2")],
    "events": [(waits, waiting), (triggers,), (polls,)],
    "bytes": [(bytes_of, "d1"), (bytes_of, "d2")],
    "lists": [(lists,)],
    "streams": [(streams,)],
}
if "streams" in (arguments.only or "streams").split(","):
    write("control/alloc", "ring 256K\n")
    write("control/stream", "words buffer=ring period=16K source=pattern rate=200000 policy=stop\n")
before = state()
threads = [guarded(*client) for kind, clients in kinds.items()
           if kind in (arguments.only or ",".join(kinds)).split(",") for client in clients]
begin = time.monotonic()
kills = 0
while kills < arguments.kills and len(faults) < 5:
    time.sleep(random.uniform(0, arguments.pause))
    if arguments.upgrade:
        begun = subprocess.run([arguments.devfs, "upgrade", root], timeout=30)
        if begun.returncode:
            fault(f"upgrade ended with {begun.returncode}")
    else:
        pid = server()
        if not pid:
            continue
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    kills += 1
took = time.monotonic() - begin
ends.set()
for thread in threads:
    thread.join(20)
    if thread.is_alive():
        if thread.name.startswith("waits"):
            write("signals/many/trigger", "1")
            triggered += 1
            thread.join(5)
        if thread.is_alive():
            fault(f"{thread.name} hangs")
if "events" in (arguments.only or "events"):
    count = int(read("signals/many/count"))
    if count != triggered:
        fault(f"{count} events of {triggered}")
for name in os.listdir(path("buffers")):
    if name[0] == "d":
        os.unlink(path(f"buffers/{name}"))
    if name[0] in "nc" and not faults:
        fault(f"{name} is left")
time.sleep(1)
after = state()
print(f"{kills} kills in {took:.1f} s, {triggered} events, {words} words")
for kind, times in sorted(usual.items()):
    median = statistics.median(times)
    print(f"{kind:8} {len(times):6} median {median * 1e6:7.0f} us, slowest {slowest[kind] * 1e3:6.1f} ms"
          f", {slowest[kind] / median:.0f} times that")
print("before", before)
print("after ", after)
subprocess.run([arguments.devfs, "unmount", root], timeout=30)
subprocess.run([arguments.devfs, "device", "remove", device], timeout=30)
sys.exit(bool(faults))
