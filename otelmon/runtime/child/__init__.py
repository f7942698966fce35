"""What `otelmon run` puts first on the path of what it runs.

In:    the start of a Python process below `otelmon run`
Out:   the servers' applications are watched once they are loaded
Owns:  ``sitecustomize``, which Python imports by that name at its start
Never: imports anything heavy, or hides a ``sitecustomize`` that the user has
"""
