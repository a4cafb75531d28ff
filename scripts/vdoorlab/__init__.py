"""The virtual door: the installed product in a whole machine of its own (User-Mode Linux), tried from outside.

`layers` makes what it is built of, `machine` boots it and pulls its plug, `scenarios/` are what is tried, `runner` tries
them, `report` says what came out. `guest/` runs inside. See the README's section "The virtual door".
"""
