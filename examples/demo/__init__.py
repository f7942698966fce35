"""The demo: the shop under load, its faults switched on and off, and the pages that came of it.

`make demo`, or `python -m examples.demo`. Nothing leaves the machine: a stand-in for Discord receives the pages and
shows the channel in a browser.
"""
