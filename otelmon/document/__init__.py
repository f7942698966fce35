"""Documents: the YAML that users write, read with a place for everything in it.

In:    the text of a YAML file and the environment.
Out:   scalars, sections and lists that know their line and column; typed fields; problems with a place.
Owns:  safe reading, ``${NAME}``, did-you-mean.
Never: knows what a rule or a setting means.
"""
