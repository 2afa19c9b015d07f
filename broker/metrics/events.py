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
        "access_*": "Requests from people who may not do that, by error code.",
        "handovers_failed": "Connections that could not be handed over to the egress that had accepted their viewer.",
        "http_bugs": "Requests that hit a bug in Camshaft; the log has the traceback.",
        "http_garbage": "Requests that were not HTTP/1.1, or had a head that was too large.",
        "http_idle_closed": "Idle connections that made room for new ones.",
        "http_limit_*": "Connections refused, by the limit reached.",
        "http_slow_head": "Connections closed because no complete request arrived.",
        "http_slow_reader": "Connections closed because the client read nothing of an answer.",
        "limit_*": "Offers and stills refused, by the limit reached.",
        "people_failed": "Requests that failed because the file of users could not be written.",
        "tls_failed": "TLS handshakes that failed: scanners, and clients that do not trust our certificate.",
        "tls_slow_handshake": "Connections closed because their TLS handshake did not finish.",
        "tunnels": "Connections passed on to an egress instead of handed over: those with TLS, or to another machine.",
        "ws_*": "Messages from pages that were refused, by error code.",
        "ws_broken": "WebSockets that broke.",
        "ws_flood": "Pages cut off because they kept sending more messages than limits.message_rate allows.",
        "ws_slow_page": "Pages cut off because they did not read their messages.",
    },
    "Of the control plane": {
        "control_garbage": "Malformed messages; on a worker, also unusable keys.",
        "control_impostor": "Reports under another worker's name or role.",
        "control_misdirected": "Messages for another kind of worker.",
        "control_revoked": "Messages from workers whose key was revoked.",
        "control_strangers": "Connections to the control port that could not authenticate.",
        "control_undelivered": "Messages to workers whose connection was gone or stuck.",
        "control_unsendable": "Messages that could not be sent: a bug in Camshaft.",
        "join_flood": "Requests to join that exceeded the limit.",
        "join_garbage": "Malformed requests to join.",
        "join_refused": "Requests to join that were refused; the log says why.",
        "joined": "Workers let in by their token.",
        "node_name_used_twice": "Times that two processes had the same name.",
        "report_failed": "Reports, or items in them, that could not be built: a bug in Camshaft.",
        "report_parts_lost": "Parts of reports that were discarded because other parts did not arrive.",
        "reports_partial": "Reports that could not include everything.",
        "sessions_not_believed": "Sessions in an egress's report beyond the number it can have.",
        "wire_unfit": "Reports from workers whose release is not compatible with this broker's.",
        "wrong_node": "Reports under a name other than that of their connection.",
        "*_refused": "Connections to the bus that the worker's key does not allow: control, publish, subscribe, join.",
    },
    "Of media on the bus": {
        "caches_given_up": "Cached groups of pictures dropped because together they took too much memory.",
        "early_epoch": "Batches from a worker that is taking over, before its keyframe.",
        "gaps": "Gaps in a rendition's numbers: the bus dropped something.",
        "histories_cut": "Histories that were halved because together they took too much memory.",
        "lost": "Packets of a rendition that never arrived.",
        "media_forged": "Frames that their publisher did not seal.",
        "media_garbage": "Malformed frames.",
        "media_in_strangers": "Connections to the port for publishers that could not authenticate.",
        "media_out_greedy": "Connections of workers that subscribed to more than there is; they were ended.",
        "media_out_strangers": "Connections to the port for subscribers that could not authenticate.",
        "near_given_up": "Workers on the same machine that read nothing for seconds and were disconnected.",
        "near_strangers": "Connections for media between workers on one machine that came from something else.",
        "old_epoch": "Batches from a worker that had been replaced.",
        "overloads": "Times that a feed skipped to a keyframe because the process was too slow.",
        "replays": "Cached groups of pictures that were sent or received.",
        "replays_refused": "Cached groups of pictures that nobody had asked for.",
        "stale": "Batches that arrived seconds late.",
        "subscription_garbage": "Subscriptions to something that is not a topic.",
    },
    "Of ingest": {
        "cameras_let_go": "Cameras let go because no broker was reached and nobody took their pictures from there.",
        "foreign_datagrams": "Datagrams on a camera's ports that did not come from the camera.",
        "junk_bytes": "Bytes between RTSP messages that belong to no message.",
        "redirects": "Times that a camera redirected elsewhere.",
        "redirects_refused": "Times that it redirected to a forbidden place.",
        "slowed": "Times that a camera was read more slowly because it sends more than limits.camera_bitrate.",
        "timestamps_repaired": "RTP timestamps that jumped.",
    },
    "Of egress": {
        "handovers_strange": "Connections handed over for no known viewer, or by somebody else.",
        "gave_way": "Viewers that never sent anything and made room for new ones.",
        "ice_restarts": "Times that a viewer restarted ICE in its session because its network changed.",
        "paths_stuck": "Times that a viewer's path was left alone because nothing arrived.",
        "refused": "Offers that were refused.",
        "repeats_withheld": "Packets and groups of pictures that were requested too often, and not sent again.",
        "rtcp_garbage": "SRTCP datagrams that were malformed or not authentic.",
        "rtcp_ignored": "Datagrams of DTLS and SRTCP beyond the limit.",
        "stun_bad_password": "Checks with a wrong password.",
        "stun_ignored": "Checks beyond the limit.",
        "stun_unasked": "Answers to checks that were never sent.",
        "stun_unknown_ufrag": "Checks for no known viewer.",
        "tcp_blocked": "Batches that a connection had no room for; counted when it ends.",
        "tcp_garbage": "Connections closed because they sent something other than STUN, DTLS or RTCP.",
        "tcp_refused": "Connections closed because there were too many, from one address or in total.",
        "tcp_silent": "Connections closed because nothing arrived.",
        "tcp_stranger": "Connections closed because their first check was for no viewer, or had a wrong password.",
        "tcp_unaccepted": "Times that no connection could be accepted because descriptors or memory ran out.",
        "udp_blocked": "Sends that found the socket's buffer full.",
        "udp_dropped": "Datagrams that arrived when the socket was full.",
        "udp_failed": "Sends that failed for another reason, such as no route.",
        "udp_garbage": "Datagrams of no known protocol.",
        "udp_unknown_source": "Datagrams from addresses of no known viewer.",
        "viewers_answered": "Viewers that were answered.",
        "viewers_inherited": "Viewers whose sessions were taken over from the previous process when it ended.",
        "viewers_joined": "Viewers to which media could flow.",
        "viewers_left": "Viewers that had joined and have left.",
        "viewers_never_joined": "Viewers that were answered and never joined; the log says what was tried.",
    },
    "Of transcode": {
        "converters_failed": "Converters that failed and were replaced.",
        "stills_failed": "Stills that could not be drawn.",
        "stills_made": "Stills that were drawn.",
        "units": "Pictures and packets of sound that arrived.",
        "units_given_up": "Those that were not converted because too many were waiting.",
        "units_made": "Those that were made from them.",
        "units_undecodable": "Those from which nothing could be made.",
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
