"""Notify.

In:    pages from the outbox.
Out:   outcomes: delivered, retry at, rejected.
Owns:  delivery and the notifiers.
Never: decides who is paged.
"""
