"""The workloads, one file a group; each has `measure(run)`."""

from groups import (
    events, files, memory, passthrough, peers, registers, scale, served, server, startup, streams,
    transfers)

ALL = {
    "passthrough": passthrough,
    "served": served,
    "peers": peers,
    "memory": memory,
    "transfers": transfers,
    "files": files,
    "events": events,
    "streams": streams,
    "server": server,
    "scale": scale,
    "startup": startup,
    "registers": registers,
}
