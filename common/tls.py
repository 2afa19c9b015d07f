"""The choice of TLS ciphers, for cameras and for the front door."""

from __future__ import annotations

CIPHERS = "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
"""The ciphers that TLS 1.2 may use, said here because Python's builds differ in it: forward secrecy, no SHA-1, keys of
2,048 bits. TLS 1.3 has none that would have to be left out."""
