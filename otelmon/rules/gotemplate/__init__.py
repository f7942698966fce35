"""Gotemplate.

In:    the text of a template, data, functions.
Out:   the text with its actions replaced, or a TemplateError with its place.
Owns:  Go's template language (text/template), its functions, and how Go prints values.
Never: knows rules or alerts, loops without a bound.
"""
