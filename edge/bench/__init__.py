"""`doorlight bench`: measure how fast this machine is as a door.

run             the benchmark: the real loop with a timer
measure         the timer, the totals of each situation, and the memory
drawn_people    a source of drawn pictures in which people come and go
environment     machine, libraries and models of a report
report          the report: its records, and its tables for a terminal
"""
