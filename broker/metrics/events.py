"""The table of what processes count by name, most of it drops: the label ``event`` of ``camshaft_events_total``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from broker.metrics.families import OF_COUNTERS

MAX_EVENTS = 200  # of one process: all that is counted is less than half of that
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FIGURES = frozenset({"tasks", "delay_p50_us", "delay_p99_us", "tcp_connections"})  # in the same list, and no counts
_OF_RELAY = frozenset(
    {"relay_frames_in", "relay_bytes_in", "relay_frames_out", "relay_bytes_out"}
)  # families of theirs

EVENTS = {
    "Of the front door": {
        "access_*": "Requests of who may not do that, by the code of the error.",
        "handovers_failed": "Connections that could not be handed over to the egress that had accepted their viewer.",
        "http_bugs": "Requests that met a mistake of ours; the log has its traceback.",
        "http_garbage": "Requests that were not HTTP/1.1, or had too large a head.",
        "http_idle_closed": "Idle connections that made room for new ones.",
        "http_limit_*": "Connections refused, by the limit that was reached.",
        "http_slow_head": "Connections closed because no whole request came.",
        "http_slow_reader": "Connections closed because nothing of an answer was taken.",
        "limit_*": "Offers and stills refused, by the limit that was reached.",
        "people_failed": "Requests that failed because the file of users could not be written.",
        "tls_failed": "TLS handshakes that failed: scanners, and clients that do not trust our certificate.",
        "tls_slow_handshake": "Connections closed because their TLS handshake did not end.",
        "tunnels": "Connections passed on to an egress instead of handed over: by TLS, or to another machine.",
        "ws_*": "Messages of pages refused, by the code of the error.",
        "ws_broken": "WebSockets that broke.",
        "ws_slow_page": "Pages cut off because they did not read what waits for them.",
    },
    "Of the control plane": {
        "control_garbage": "Messages that were none; at a worker also keys that cannot be used.",
        "control_impostor": "Reports under another worker's name or role.",
        "control_misdirected": "Messages for another kind of worker.",
        "control_revoked": "Messages of workers whose key was revoked.",
        "control_strangers": "Connections to the control port that could not authenticate.",
        "control_undelivered": "Messages to workers whose connection was gone or stuck.",
        "control_unsendable": "Messages that cannot be sent: a mistake of ours.",
        "join_flood": "Workers' requests to join that were too many.",
        "join_garbage": "Requests to join that were none.",
        "join_refused": "Requests to join that were refused; the log says why.",
        "joined": "Workers that were let in by their token.",
        "node_name_used_twice": "Times that two processes had one name.",
        "report_failed": "Reports, or items of them, that could not be made: a mistake of ours.",
        "report_parts_lost": "Parts of reports that came to nothing, as others of their report did not come.",
        "reports_partial": "Reports that could not tell everything.",
        "sessions_not_believed": "Sessions in an egress's report that were more than it can have.",
        "wire_unfit": "Reports of workers whose release does not fit this broker's.",
        "wrong_node": "Reports under another name than that of their connection.",
        "*_refused": "Connections to the bus that the worker's key does not allow: control, publish, subscribe, join.",
    },
    "Of media on the bus": {
        "caches_given_up": "Cached groups of pictures that were given up, as all of them took too much memory.",
        "early_epoch": "Batches of a worker that takes over, before its keyframe.",
        "gaps": "Gaps in a rendition's numbers: the bus dropped something.",
        "histories_cut": "Histories that were halved, as all of them took too much memory.",
        "lost": "Packets that were missing in a rendition after all.",
        "media_forged": "Frames that their publisher did not seal.",
        "media_garbage": "Frames that were none.",
        "media_in_strangers": "Connections to the port for publishers that could not authenticate.",
        "media_out_strangers": "Connections to the port for subscribers that could not authenticate.",
        "near_given_up": "Workers of the same machine that took nothing for seconds, and were disconnected.",
        "near_strangers": "Connections for media between workers of one machine that were no worker's.",
        "old_epoch": "Batches of a worker that had been replaced.",
        "overloads": "Times that a feed skipped to a keyframe because the process was too slow.",
        "replays": "Cached groups of pictures that were sent or taken.",
        "replays_refused": "Cached groups of pictures that nobody had asked for.",
        "stale": "Batches that came seconds late.",
        "subscription_garbage": "Subscriptions to what is no topic.",
    },
    "Of ingest": {
        "cameras_let_go": "Cameras that were let go: no broker was reached, and nobody took their pictures from there.",
        "foreign_datagrams": "Datagrams on a camera's ports that were not the camera's.",
        "junk_bytes": "Bytes between RTSP messages that belong to none.",
        "redirects": "Times that a camera led elsewhere.",
        "redirects_refused": "Times that it led where it may not.",
        "slowed": "Times that a camera was read more slowly, as it sends more than limits.camera_bitrate.",
        "timestamps_repaired": "RTP timestamps that jumped.",
    },
    "Of egress": {
        "handovers_strange": "Connections handed over that were for no viewer, or by somebody else.",
        "gave_way": "Viewers never heard of that made room for new ones.",
        "ice_restarts": "Times that a viewer restarted ICE in its session, as its network had become another.",
        "paths_stuck": "Times that a viewer's path was left alone, as nothing arrived.",
        "refused": "Offers that were refused.",
        "repeats_withheld": "Packets and groups of pictures asked for again and not sent, because it was too much.",
        "rtcp_garbage": "SRTCP datagrams that were not authentic, or none.",
        "rtcp_ignored": "Datagrams of DTLS and SRTCP that were too many.",
        "stun_bad_password": "Checks with a wrong password.",
        "stun_ignored": "Checks that were too many.",
        "stun_unasked": "Answers to checks that were not made.",
        "stun_unknown_ufrag": "Checks of no viewer.",
        "tcp_blocked": "Batches that a connection had no room for; counted when it ends.",
        "tcp_garbage": "Connections closed for what is no STUN, DTLS or RTCP.",
        "tcp_refused": "Connections closed because there were too many of one address, or in all.",
        "tcp_silent": "Connections closed because nothing came.",
        "tcp_stranger": "Connections closed because their first check was for no viewer, or had a wrong password.",
        "tcp_unaccepted": "Times that no connection could be accepted, as descriptors or memory ran out.",
        "udp_blocked": "Sends that found the socket's buffer full.",
        "udp_dropped": "Datagrams that came and found the socket full.",
        "udp_failed": "Sends that failed for another reason, such as no route.",
        "udp_garbage": "Datagrams that were nothing we know.",
        "udp_unknown_source": "Datagrams from addresses of no viewer.",
        "viewers_answered": "Viewers that were answered.",
        "viewers_inherited": "Viewers whose sessions were taken over from the process before, as it ended.",
        "viewers_joined": "Viewers to which media could flow.",
        "viewers_left": "Viewers that had joined and are gone.",
        "viewers_never_joined": "Viewers that were answered and never joined; the log says what was tried.",
    },
    "Of transcode": {
        "converters_failed": "Converters that failed and were made anew.",
        "stills_failed": "Stills that could not be drawn.",
        "stills_made": "Stills that were drawn.",
        "units": "Pictures and packets of sound that came.",
        "units_given_up": "Those that were not converted because too many waited.",
        "units_made": "Those that were made of them.",
        "units_undecodable": "Those of which nothing could be made.",
    },
}
"""Meaning by name, by part; a star stands for any letters."""


# What alerts ask for is there from the start: Prometheus sees no increase in a series that begins with its first count.
_LOST = ("gaps", "lost", "stale")
FROM_ZERO = {
    "egress": (*_LOST, "overloads", "udp_dropped", "udp_failed", "viewers_answered", "viewers_never_joined"),
    "transcode": (*_LOST, "units_given_up"),
}
"""Events of each role that are told before they have happened."""

OUTCOMES = (
    *("answered", "no_egress", "busy", "egress_timeout", "egress_gave_up", "egress_died"),
    *("full", "overloaded", "no_memory", "converters_full", "limit_free_memory", "limit_offers", "limit_sessions"),
    *(f"limit_offer_rate{of}" for of in ("", "_per_address", "_per_user", "_per_camera")),
    *(f"limit_sessions_per_{of}" for of in ("address", "user", "camera")),
)
"""Outcomes of offers that are told before there was one."""


def events(counters: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """The counts of one process. Of a newer version's all that might be a name, but no more than ``MAX_EVENTS``."""
    left = MAX_EVENTS
    for name, count in counters.items():
        if name not in _FIGURES | _OF_RELAY and name not in OF_COUNTERS and left > 0 and _NAME.fullmatch(name):
            left -= 1
            yield name, count
