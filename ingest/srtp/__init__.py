"""SRTP of cameras (RFC 3711): keys as session descriptions and RTSP have them, and packets in clear; no I/O.

Keys come by SDES (RFC 4568: UniFi, ``a=crypto``) or MIKEY (RFC 3830 by RFC 4567: ONVIF, Axis, GStreamer, live555,
MediaMTX, ``a=key-mgmt`` and ``KeyMgmt``). Neither hides the keys from whoever reads the RTSP connection: that is TLS's.
"""
