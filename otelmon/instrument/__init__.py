"""Instrument.

In:    what the app does: ASGI messages, host counters.
Out:   a RequestRecorder with counts per cell; OTel instruments for the host.
Owns:  the request middleware, the framework adapters, host sampling.
Never: evaluates, exports, does I/O on the event loop, raises into the host application.
"""
