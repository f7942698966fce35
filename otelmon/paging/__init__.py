"""Paging.

In:    changes of incidents, who is on call.
Out:   pages: one message to one target, within its limits.
Owns:  which message is owed and why; its text.
Never: sends, stores.
"""
