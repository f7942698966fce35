"""What came in over OTLP goes on to OTLP backends.

In:    serialised Export...ServiceRequest messages of metrics, traces and logs, from any thread.
Out:   the same, in order and in batches, over HTTP or gRPC, once a backend has taken them.
Owns:  the queue on disk, when to try again, what is dropped and counted.
Never: blocks who hands something in on a network, reads what is in a message, shows a header or an endpoint.
"""
