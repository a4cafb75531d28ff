"""A head office with many doors: `doorlight collect` and `doorlight fleet`.

topics      the topics of the doors
messages    what a message of a door says, or why it is put aside
broker      a connection to an MQTT 5 broker: receives, and acknowledges when it is asked to
retry_timer when the next attempt is due
secret      read a password from a file
database    a connection to PostgreSQL, its errors in words, and the version of its schema
store       write a batch of messages in one transaction
collector   the loop: receive, store, acknowledge
overview    the state of all doors, those in trouble first
table       the overview for a terminal
schema.sql  the tables
"""
