"""Many doors: configurations to copy, and a soak test of `doorlight collect` with real brokers and a real database.

servers  PostgreSQL, Mosquitto and a RabbitMQ cluster of their own, on loopback, in a temporary folder
doors    a thousand simulated doors in one process
soak     all of them together, while nodes and collectors are killed: is each event there once?
"""
