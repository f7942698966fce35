"""Cli.

In:    a command line.
Out:   an exit code and words a person can use.
Owns:  one file a command.
Never: holds logic that the library lacks.
"""
