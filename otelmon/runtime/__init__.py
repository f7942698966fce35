"""Runtime.

In:    settings, a clock.
Out:   a running monitor.
Owns:  the one loop, its threads, its transactions.
Never: lets a failure reach the host application.
"""
