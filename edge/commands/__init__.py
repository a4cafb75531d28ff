"""The subcommands of `doorlight`, one module each.

Each module has `add_parser`, which describes its arguments, and `run`, which executes the command and returns the exit
code. Modules import heavy packages (NumPy, OpenCV, gpiozero, msgspec) inside functions, so that every command starts
fast.

- `run`: watch the door; `run_door` is its second half, with the heavy imports
- `door_people`: the enrolled people of a running door
- `annotate`: draw boxes and verdicts into pictures and videos
- `explain`: show which pixels of a face speak for and against a mask
- `events`: show an event log
- `stats`: statistics of an event log
- `metrics`: show an event log to Prometheus
- `collect`: store the events of many doors in PostgreSQL
- `fleet`: show all doors that are collected
- `people`: enrol people whom the door recognises; its larger parts are `people_add`, `people_files`,
  `people_card` and `people_sync`
- `lights`: test the wiring, or switch everything off
- `doctor`: check this machine
- `bench`: measure the speed of this machine
- `check_config`: check a settings file, or print the default one
- `options`: arguments and argument types that commands share
- `left_out`: the report of files of a folder that were left out
- `process`: start time, signals and terminal of this process
"""
