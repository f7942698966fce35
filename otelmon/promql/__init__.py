"""Promql.

In:    the text of an expression; a window.
Out:   a syntax tree; an Evaluation at an instant.
Owns:  the language: parser, plans, evaluator.
Never: reads a clock, does I/O, keeps samples.
"""
