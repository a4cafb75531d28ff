"""Statistics of an event log: counts by hour, kept for years beside the log, and what is shown of them.

hour        the counts of one local hour, and its line in the file of hours
log_moments what of an event log the statistics use, with corrected times
tally       count moments into hours
hours_file  the file of hours beside a log: read, keep, write
figures     the statistics as data: `collect`, totals, groups, intervals
phrases     every sentence that is shown, to be translated
tables      as text for a terminal, CSV and JSON
chart       bars as SVG
report      the page: a fragment, or a file that can be mailed
"""
