"""What is on the network: the media port, STUN and ICE, DTLS, SRTP, RTCP, and the addresses that viewers are told."""
