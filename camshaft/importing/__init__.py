"""Cameras and settings of go2rtc, MediaMTX and Frigate, as a ``camshaft.yaml``; no I/O.

A file of theirs may hold anything where it is not looked at, and anything where it is: what has another shape than
expected is left out and named. No value is shown or copied that is not plain text.
"""
