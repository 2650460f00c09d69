// What the server shares with the programs that use its mounts, as if it were declared here.
@_exported import DevFSBase
