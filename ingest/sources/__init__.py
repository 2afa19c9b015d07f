"""Sources beside RTSP: HTTP, HLS, RTMP, SRT, UDP, files and devices, each demuxed in a process of its own.

A demuxer meets hostile bytes, and FFmpeg's is written in C. So it runs in a child of the ingest process
(``demuxer``) with little memory, no variables and no file that it may write; it describes what it found as a camera
does, by a session description, and sends RTP through a pipe (``wire``). Ingest (``demuxed``) trusts that no more than a
camera, and does with it what it does with a camera's: the same payload formats, clocks, limits and states.
"""
