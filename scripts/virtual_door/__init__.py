"""The virtual door: the installed product in a virtual machine (User-Mode Linux), tested from outside.

  build, build_steps, host   build the machine's parts once and cache them
  suites, debian             the Debian releases, and what is taken from them
  machine, agent_client      boot a machine, run commands in it, cut its power
  door                       the machine as a door: camera, pins, service, event log
  lab                        what a scenario gets: doors, whose logs are saved if it fails
  report                     the checks of a scenario, and the report of all scenarios
  clips                      what the camera shows
  logwrites                  rebuild a disk from the kernel's log of writes
  day                        a day at the door in fast motion, without a virtual machine
  guest/                     programs that run in the virtual machine

The scenarios are pytest tests in tests/virtual_door. See README.md.
"""
