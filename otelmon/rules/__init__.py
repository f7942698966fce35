"""Rules.

In:    rule files, short forms, built-in rules.
Out:   groups of rules with parsed expressions.
Owns:  what a rule is and how it is written; annotations' templates.
Never: evaluates on its own, knows alerts' states.
"""
