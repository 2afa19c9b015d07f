"""The network's protocols: the media port, STUN and ICE, DTLS, SRTP, RTCP, and the addresses that viewers are told."""
