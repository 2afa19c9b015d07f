"""The load generator: hundreds of WebRTC viewers in one process, real in all they send, cheap in all they receive.

``stun``, ``ice``, ``sdp``, ``rtp`` and ``rtcp`` are pure; ``dtls`` wraps OpenSSL's memory buffers; ``viewer`` composes
them, ``engine`` owns the sockets, ``signalling`` speaks to servers, ``crowd`` is what tests and scenarios drive.
"""
