"""The event log: JSON lines that survive a power cut, a full disk and a restart.

record      what a line is: encode, parse, number, time
compressed  open compressed files (gzip, bzip2, xz)
log_files   the files of a log: rotated names and their order, inodes, lines from the end
numbering   find the highest number in a log
counter     the number up to which `seq` may be in use, in a file beside the log
write_ahead new lines in a small file beside the log, which is cheaper to sync than the log
appender    the current file for the writer: lock, restore, repair, append durably, rotate
writer      the queue and the thread that writes it
reader      read and follow a log, across rotated files
selection   the events of a time span and kind, each with the played file that it comes from
time_span   what --since and --until mean, and the records between them
summary     count events, and choose those of a kind
table       write events as CSV
text        describe an event in words
"""
