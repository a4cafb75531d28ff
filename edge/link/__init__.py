"""`doorlight link`: a process of its own that connects a door to the network. The door knows nothing of it.

cursor          up to which event a target has received the log, in a durable file
cursor_keeper   stores it while the target works, also on a disk that refuses it
log_tail        the lines of the log after a cursor, in bounded memory
log_time        where in a log a moment is
door_state      what the network knows of the door; from day_counts and host_figures
hourly          the last complete hour
topics          the names of a door in the network
discovery       its description for Home Assistant
announcement    what is published about it, and taken back
mqtt            one connection to a broker
broker_errors   why a broker cannot be used, in words
certificates    why a certificate is not trusted
window          the messages on their way, and the cursor behind those that have arrived
mqtt_worker     the thread of the broker
http_post       one request to a webhook
webhook_message what it says, and its signature
webhook_worker  the thread of a webhook
backoff         how long to wait after a failure
login           name, password and certificates for a broker
secret_files    secrets in files and systemd credentials
status          what the link says about itself
service         runs all of it
forget          removes the door from a broker
"""
