"""`doorlight metrics`: the event log as metrics for Prometheus.

totals       counters that grow with each record of the log, and the state of the door between two records
new_records  the records after a number, read from the end of the log
keeper       bring the totals up to date, and keep them in a file from one run to the next
exposition   the totals in Prometheus' text format
server       answer a Prometheus on this machine
"""
