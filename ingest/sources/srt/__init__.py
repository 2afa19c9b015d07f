"""A receiver of SRT (draft-sharabayko-srt-01) as caller, which FFmpeg in the package ``av`` lacks.

``wire`` has the packets, ``keys`` decrypts, ``session`` is the state of one connection: none of them does I/O.
``caller`` drives a socket by them.
"""
