"""The load generator: hundreds of WebRTC viewers in one process, real in all they send, cheap in all they receive.

``stun``, ``ice``, ``sdp``, ``rtp``, ``rtcp`` and ``feedback`` are pure; ``dtls`` wraps OpenSSL's memory buffers.
``viewer`` composes them, ``engine`` owns the sockets, ``delays`` and ``tap`` know when frames left the camera,
``signalling`` speaks to servers, and ``crowd`` is what tests and scenarios drive.
"""
