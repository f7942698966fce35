"""What listens: the pages that people open in a browser, and the receiver of OTLP.

In:    a signed link that somebody follows, the state as it is kept; the runbooks; OTLP over HTTP and gRPC.
Out:   the incident as a page, a request to acknowledge it in the inbox; a runbook as a page; requests for their takers.
Owns:  signed links and what they are worth, the pages' HTML, the door in the host application; the receiver's bounds.
Never: acts on a GET, decides what becomes of an incident (the engine does), blocks the host application's event loop.
"""
