"""Config: otelmon.yaml and the environment become typed settings.

In: a file, environment variables and the application's title.
Out: ``Settings``, checked, or a ConfigError with every problem at once.
Owns: what each key and variable means, and the words for what is wrong with it.
Never: starts anything, or shows a secret.
"""
