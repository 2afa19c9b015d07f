"""RTP and RTCP (RFC 3550) from cameras: order, time and statistics of the packets that arrive."""
