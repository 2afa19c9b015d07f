"""The limits that an operator may set: to what strangers and viewers take, and to what cameras may be and send."""

from __future__ import annotations

from pydantic import Field

from common.config_types import Addresses, Limit, Networks, Rate, Schemes, Section, Whole


class LimitsConfig(Section):
    """Limits on what strangers, cameras and viewers may take from this machine. 0, where allowed, means no limit."""

    connections: Limit = Field(
        10_000, description="HTTP connections at once; fewer if the system allows fewer open files."
    )
    connections_per_address: Limit = Field(512, description="HTTP connections from one address at once.")
    idle_timeout: Whole = Field(
        75,  # longer than reverse proxies keep a connection (nginx: 60)
        ge=1,
        le=3_600,
        description="Seconds for which an HTTP connection may be idle between two requests.",
    )
    head_bytes: Whole = Field(
        8_190,  # as other servers have it; the cookies of a whole domain can be more
        ge=1_024,
        le=64 << 10,
        description="Bytes of a request's URL, and of each of its headers.",
    )
    body_bytes: Whole = Field(
        64 << 10,  # an offer of Chromium's with all its codecs has 8 kB
        ge=16 << 10,
        le=1 << 20,
        description="Bytes of a request's body.",
    )
    sockets: Limit = Field(5_000, description="WebSockets at once.")
    sockets_per_address: Limit = Field(256, description="WebSockets from one address at once.")
    socket_queue: Limit = Field(
        4 << 20,
        description="Bytes that may wait for a page that does not read its WebSocket; beyond that, it is cut off.",
    )
    socket_queues: Limit = Field(
        64 << 20,
        description="Bytes that may wait for all WebSockets together, in both directions; beyond that, the page with "
        "the most is cut off.",
    )
    message_rate: Rate = Field(
        50.0, description="Messages per second on one WebSocket; forty seconds' worth may come at once."
    )
    offers: Limit = Field(1_000, description="Viewers' offers being answered at once.")
    offers_per_address: Limit = Field(256, description="Offers from one address being answered at once.")
    offer_rate: Rate = Field(200.0, description="Viewers' offers per second; ten seconds' worth may come at once.")
    offer_rate_per_address: Rate = Field(25.0, description="Offers per second from one address.")
    offer_rate_per_user: Rate = Field(25.0, description="Offers per second from one user or token.")
    offer_rate_per_camera: Rate = Field(100.0, description="Offers per second for one camera.")
    still_rate: Rate = Field(50.0, description="Stills requested per second.")
    still_rate_per_address: Rate = Field(10.0, description="Stills requested per second from one address.")
    sessions: Limit = Field(10_000, description="Viewers at once.")
    sessions_per_address: Limit = Field(1_000, description="Viewers from one address at once.")
    sessions_per_user: Limit = Field(1_000, description="Viewers with one user or token at once.")
    sessions_per_camera: Limit = Field(5_000, description="Viewers of one camera at once.")
    free_memory: Limit = Field(128, description="MiB of memory that must be free for another viewer or WebSocket.")
    cameras: Limit = Field(
        10_000, description="Cameras in total, including those of the configuration; beyond that, the API adds none."
    )
    egress_viewers: Whole = Field(
        3_000, ge=1, description="Sessions of an egress process; further viewers are sent to another one, or refused."
    )
    egress_load: Limit = Field(
        90,
        le=100,
        description="Percentage of time that an egress process may be busy and still take another viewer.",
    )
    unheard_viewers: Whole = Field(
        1_000,
        ge=1,
        description="Viewers of an egress process that were answered but have sent nothing yet; the oldest gives way.",
    )
    proxies: Addresses = Field(
        (), description="Reverse proxies, which act for many people; limits per address do not apply to them."
    )
    camera_bitrate: Whole = Field(
        200,
        ge=1,
        description="Mbit/s that a camera may send for long; beyond that, the camera is slowed, then left alone.",
    )
    cache_bytes: Whole = Field(
        512 << 20,
        ge=16 << 20,
        description="Bytes of video that a process keeps, for all cameras together; the largest history is cut first.",
    )


class SourcesConfig(Section):
    """Where cameras may be, of which kinds, and how much a source other than RTSP may use."""

    allow: Schemes = Field(
        ("rtsp", "rtsps", "http", "https"),
        description="Schemes of cameras' URLs: rtsp, rtsps, http, https, rtmp, rtmps, srt, udp, file, device.",
    )
    memory: Whole = Field(
        512,
        ge=64,
        le=1 << 20,
        description="MiB that the process of a source other than RTSP may use before it is restarted.",
    )
    memory_together: Whole = Field(
        2_048,
        ge=64,
        le=1 << 20,
        description="MiB that such processes of an ingest may use together beyond 100 each; the largest is restarted.",
    )
    networks: Networks = Field(
        (),
        max_length=64,
        description="Networks that cameras may be in, by name or address, such as 192.168.1.0/24; empty for all.",
    )
