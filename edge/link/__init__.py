"""`doorlight link`: a process of its own that connects a door to the network. The door knows nothing of it.

cursor       up to which event a target has received the log, in a durable file
log_tail     the lines of the log after a cursor, in bounded memory
"""
