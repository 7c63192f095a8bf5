"""The daemon's HTTP server: for sensors that are called. h11 on anyio, 0.3 MB and 6 ms of import.

Of our own, since what matters here is what clients that do harm can cost: bounds on connections,
bytes and time that a general server leaves to a proxy.
"""
