"""The operating system, as the other packages need it. Imports nothing else from Doorlight.

- `child_process`: run a Doorlight module in a child process, and set up the child's side.
- `files`: read files safely; sync folders; recognise read-only mounts.
- `terminal`: make text safe for a terminal.
- `streams`: standard streams that are closed, or lack characters.
- `stderr`: capture stderr output of native libraries.
- `libraries`: explain why a library cannot be imported, and how to mend it.
- `limited_listener`: listen, with a limit of open connections.
- `open_files`: list the processes that have a device open.
- `clock`: wall-clock time, for quiet hours only.
- `systemd`: notify systemd (sd_notify).
"""
