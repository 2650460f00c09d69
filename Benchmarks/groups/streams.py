"""Streams: how fast, and whether anything is lost."""

from core import Row, Unavailable, at_least, at_most
from mounts import devfs, probe

GROUP = "streams"
PERIOD = 1 << 20
# Words a second, the most that a generator takes.
FASTEST = 1_000_000_000


def measure(run):
    bytes = (64 << 20) if run.quick else (512 << 20)
    with devfs(size="1G") as mount:
        mount.allocate("ring", 64 << 20)
        data = mount.path("streams/adc/data")

        def stream(rate, policy):
            mount.put(
                "control/stream",
                f"adc buffer=ring period={PERIOD} source=pattern policy={policy} rate={rate}\n")
            try:
                cost, gaps = probe("stream", data, bytes, PERIOD)
                with open(mount.path("streams/adc/overruns"), encoding="utf-8") as overruns:
                    lost = int(overruns.read())
            finally:
                mount.put("control/stream", "adc remove\n")
            if policy == "stop" and (gaps or lost):
                raise Unavailable(f"a stream that waits for its reader lost {lost} periods")
            return cost, lost

        run.alternate(
            Row(GROUP, "as fast as the reader, policy=stop", "data", "pipe of 1 MiB",
                unit="ns/MiB"),
            lambda: stream(FASTEST, "stop")[0], lambda: probe("pipe", bytes, PERIOD)[0])
        run.alternate(
            Row(GROUP, "as fast as the reader, policy=stop", "data", "memcpy",
                unit="ns/MiB"),
            lambda: stream(FASTEST, "stop")[0],
            lambda: probe("memcpy", PERIOD, 64 << 20, bytes >> 20)[0])
        copy = probe("memcpy", PERIOD, 64 << 20, bytes >> 20)[0]
        for share in (0.1, 0.25, 0.5):
            rate = int(min(FASTEST, share * PERIOD / 4 * 1e9 / copy))
            run.alternate(
                Row(GROUP, f"periods lost at {share:g} of memcpy speed", "policy=overwrite", "",
                    "value", unit="", goal=at_most(0) if share == 0.5 else None,
                    note=f"{rate * 4 / 1e9:.1f} GB/s" +
                    (", the generator's limit" if rate == FASTEST else "")),
                lambda: stream(rate, "overwrite")[1])

        ring = mount.path("buffers/ring")
        adc = mount.path("streams/adc")

        def ready(words, trigger="-"):
            mount.put("control/stream", f"adc buffer=ring period={PERIOD} {words}\n")
            try:
                cost, gaps, lines = probe("ready", adc, ring, bytes, trigger, PERIOD)
                with open(mount.path("streams/adc/overruns"), encoding="utf-8") as overruns:
                    lost = int(overruns.read())
            finally:
                mount.put("control/stream", "adc remove\n")
            return cost, gaps, lines, lost

        mount.put("control/signal", "filled software\n")

        def in_place(watermark):
            cost, gaps, _, lost = ready(
                f"source=filled watermark={watermark}", mount.path("signals/filled/trigger"))
            if gaps or lost:
                raise Unavailable(f"{gaps} gaps, {lost} periods lost")
            return cost

        for watermark, goal in ("16M", None), ("48M", at_least(0.9)):
            run.alternate(
                Row(GROUP, "a ring of 64M that is full, summed where it lies",
                    f"ready, watermark={watermark}", "the same loop over the memory", goal=goal,
                    unit="ns/MiB"),
                lambda: in_place(watermark), lambda: probe("sum", ring, bytes)[0])
        rate = int(min(FASTEST, 0.5 * PERIOD / 4 * 1e9 / copy))
        run.alternate(
            Row(GROUP, "periods lost or torn at 0.5 of memcpy speed, summed where it lies",
                "ready, policy=overwrite", "", "value", unit="", goal=at_most(0),
                note=f"{rate * 4 / 1e9:.1f} GB/s" +
                (", the generator's limit" if rate == FASTEST else "")),
            lambda: sum(ready(f"source=pattern policy=overwrite rate={rate}")[i] for i in (1, 3)))
        run.alternate(
            Row(GROUP, "lines of ready a GB, as fast as the reader", "watermark=16M", "", "value",
                unit=""),
            lambda: ready(f"source=pattern policy=stop rate={FASTEST} watermark=16M")[2]
            * 1e9 / bytes)
