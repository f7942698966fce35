"""What others reach over a network: the pages that people open, and `otelmon serve`'s ways in and out.

In:    a signed link that somebody follows, the state as it is kept; the runbooks; OTLP over HTTP and gRPC.
Out:   the incident as a page, a request to acknowledge it in the inbox; a runbook as a page; what came in, sent on.
Owns:  signed links and what they are worth, the pages' HTML, the door in the host application; who may send how much.
Never: acts on a GET, decides what becomes of an incident (the engine does), blocks the host application's event loop.
"""
