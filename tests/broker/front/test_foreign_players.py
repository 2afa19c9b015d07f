"""The requests that WHEP players of others make, one after the other, as their sources have them.

A token is shown where they show it, and what they read of an answer is read as they do.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp
import pytest

from broker.access.tokens import digest_of
from common.control import HangUp, Offer, RestartIce
from rigs.browser import UFRAG, Browser, audio_section, video_section
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.workers import FakeEgress

ORIGIN = {"Origin": "https://player.example"}
BEARER = {"Authorization": "Bearer t-wall"}
SDP, SDPFRAG = {"Content-Type": "application/sdp"}, {"Content-Type": "application/trickle-ice-sdpfrag"}
PASSWORD = "P2uYro0UCOQ4zxjKXaWCBui1"
CANDIDATE = "a=candidate:1 1 udp 2122260223 5b4a.local 61764 typ host generation 0 ufrag EsAw network-cost 999\r\n"
TOKENS = {
    "wall": {"sha256": digest_of("t-wall"), "cameras": ["*"]},
    "admin": {"sha256": digest_of("t-admin"), "role": "admin"},
}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    http = {"listen": "127.0.0.1:0", "ice_servers": ["stun:stun.example:3478", "turn:u:p@turn.example"]}
    cameras = {"door": {"url": "rtsp://host/door"}}
    async with broker_in(tmp_path, auth={"tokens": TOKENS}, cameras=cameras, http=http) as broker:
        yield broker


@pytest.fixture
async def egress(broker: RunningBroker) -> AsyncIterator[FakeEgress]:
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        await broker.until("/api/nodes?token=t-admin", lambda nodes: len(nodes) == 2)
        yield egress


async def asked(broker: RunningBroker, method: str, url: str, names: str = "", **more) -> aiohttp.ClientResponse:
    """A browser's request from a page of another origin, after the preflight for these headers."""
    if names or method not in ("GET", "POST"):
        wanted = {"Access-Control-Request-Method": method}
        wanted |= {"Access-Control-Request-Headers": names} if names else {}
        preflight = await broker.http.options(url, headers=ORIGIN | wanted)
        assert preflight.ok
        assert preflight.headers["Access-Control-Allow-Origin"] == "*"
        assert method in preflight.headers["Access-Control-Allow-Methods"].split(", ")
        allowed = preflight.headers["Access-Control-Allow-Headers"].lower().split(", ")
        assert set(filter(None, names.split(","))) <= set(allowed)
    response = await broker.http.request(method, url, **({"headers": ORIGIN} | more))
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    return response


def readable(response: aiohttp.ClientResponse, *names: str) -> bool:
    """Whether a page of another origin sees these headers (Fetch 3.3.4)."""
    exposed = response.headers["Access-Control-Expose-Headers"].lower().split(", ")
    return all(name.lower() in exposed for name in names)


async def test_mediamtx_reader(broker: RunningBroker, egress: FakeEgress) -> None:
    """reader.js: asks for ICE servers first, trickles under ``*``, and shows its token with the offer alone."""
    url = f"{broker.url}whep/door"
    options = await asked(broker, "OPTIONS", url, "authorization", headers=ORIGIN | BEARER)
    assert readable(options, "Link")
    servers = [
        re.match(
            r'^<(.+?)>; rel="ice-server"(; username="(.*?)"; credential="(.*?)"; credential-type="password")?', link
        )
        for link in ", ".join(options.headers.getall("Link")).split(", ")
    ]
    assert [server and server[1] for server in servers] == ["stun:stun.example:3478"]

    offer = Browser().offer() + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\na=sctp-port:5000\r\n"
    posted = await asked(broker, "POST", url, "authorization,content-type", headers=ORIGIN | BEARER | SDP, data=offer)
    assert posted.status == 201, "everything else is an error to it"
    assert readable(posted, "Location")
    session_url = urljoin(url, posted.headers["Location"])
    session = (await egress.told(Offer)).session

    sections = [
        f"m={line}\r\na=mid:{mid}\r\n{CANDIDATE}"
        for mid, line in enumerate(re.findall("^m=(.*)\r$", offer, re.MULTILINE))
    ]
    fragment = f"a=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PASSWORD}\r\n{''.join(sections)}"
    headers = ORIGIN | SDPFRAG | {"If-Match": "*"}
    patched = await asked(broker, "PATCH", session_url, "content-type,if-match", headers=headers, data=fragment)
    assert patched.status == 204, "it starts anew every 2 s if this is anything else"
    assert not [message for message in egress.messages if isinstance(message, RestartIce)]
    await asked(broker, "DELETE", session_url)
    assert await egress.told(HangUp) == HangUp(session)

    unknown = await asked(broker, "POST", f"{broker.url}whep/hall", headers=ORIGIN | BEARER | SDP, data=offer)
    assert unknown.status == 404
    malformed = await asked(broker, "POST", url, headers=ORIGIN | BEARER | SDP, data="nonsense")
    assert (malformed.status, (await malformed.json())["error"][:8]) == (400, "The body")


async def test_whip_whep(broker: RunningBroker, egress: FakeEgress) -> None:
    """whep.js 1.2: trickles without a condition until an ICE restart has brought an entity tag, and takes events."""
    url, names = f"{broker.url}whep/door", "authorization,content-type"
    posted = await asked(broker, "POST", url, names, headers=ORIGIN | BEARER | SDP, data=Browser().offer())
    assert posted.ok
    assert readable(posted, "Location", "Link", "ETag")
    resource = urljoin(url, posted.headers["Location"])
    split = [re.split(";", header) for header in re.split(r",\s+(?=<)", ", ".join(posted.headers.getall("Link")))]
    links = {items[1].split("=")[1].strip('"'): items[0].strip(" <>") for items in split}
    assert links["ice-server"] == "stun:stun.example:3478"
    session = (await egress.told(Offer)).session

    events = urljoin(url, links["urn:ietf:params:whep:ext:core:server-sent-events"])
    headers = ORIGIN | BEARER | {"Content-Type": "application/json"}
    subscribed = await asked(broker, "POST", events, names, headers=headers, data='["reconnect"]')
    assert subscribed.ok
    assert readable(subscribed, "Location")
    source = await broker.http.get(urljoin(events, subscribed.headers["Location"]), headers=ORIGIN)  # an EventSource
    assert (source.status, source.content_type) == (200, "text/event-stream")
    assert source.headers["Access-Control-Allow-Origin"] == "*"
    source.close()

    async def patch(fragment: str, **condition: str) -> aiohttp.ClientResponse:
        more = f"{names},if-match" if condition else names
        return await asked(
            broker, "PATCH", resource, more, headers=ORIGIN | BEARER | SDPFRAG | condition, data=fragment
        )

    media = f"m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n{CANDIDATE}a=end-of-candidates\r\n"
    assert (await patch(f"a=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PASSWORD}\r\n{media}")).status == 204
    newer = f"a=ice-ufrag:newer\r\na=ice-pwd:{PASSWORD}\r\n"
    restarted = await patch(newer, **{"If-Match": "*"})
    assert restarted.status == 200
    assert readable(restarted, "ETag")
    assert re.search("a=ice-ufrag:(.*)\r\n", await restarted.text())
    assert (await egress.told(RestartIce)).session == session
    assert (await patch(newer + media, **{"If-Match": restarted.headers["ETag"]})).status == 204
    assert (await asked(broker, "DELETE", resource, "authorization", headers=ORIGIN | BEARER)).ok
    assert await egress.told(HangUp) == HangUp(session)


async def test_eyevinn_webrtc_player(broker: RunningBroker, egress: FakeEgress) -> None:
    """@eyevinn/webrtc-player 0.13: offers once it has gathered, with NACK for Opus, and takes only some Locations."""
    url = f"{broker.url}whep/door"
    offer = (
        Browser()
        .offer()
        .replace("a=rtpmap:111 opus/48000/2\r\n", "a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 nack\r\n")
    )
    offer = re.sub("(a=mid:.*\r\n)", rf"\1{CANDIDATE}", offer) + ""
    posted = await asked(broker, "POST", url, "authorization,content-type", headers=ORIGIN | BEARER | SDP, data=offer)
    assert posted.ok
    location = posted.headers["Location"]
    parts = urlsplit(url)
    resource = f"{parts.scheme}://{parts.netloc}{location}" if location.startswith("/") else location
    assert (await asked(broker, "DELETE", resource, "authorization", headers=ORIGIN | BEARER)).ok
    assert await egress.told(HangUp) == HangUp((await egress.told(Offer)).session)
    egress.refusal = (406, "no_usable_codec", "None.")  # upon which it leaves out sound, then the picture
    assert (await asked(broker, "POST", url, headers=ORIGIN | BEARER | SDP, data=offer)).status == 406
    # After a 400 it asks the server to offer, and must be told that this is no such server.
    assert (await asked(broker, "POST", url, headers=ORIGIN | BEARER | SDP, data="")).status == 400


async def test_simple_whep_client(broker: RunningBroker, egress: FakeEgress) -> None:
    """meetecho/simple-whep-client: no browser; all requests have the entity tag, and candidates come together."""
    url = f"{broker.url}whep/door"
    posted = await broker.http.post(url, headers=BEARER | SDP, data=Browser().offer())
    assert (posted.status, posted.content_type) == (201, "application/sdp")
    headers = BEARER | {"If-Match": posted.headers["ETag"]}
    fragment = f"a=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PASSWORD}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n{CANDIDATE}"
    resource = urljoin(url, posted.headers["Location"])
    for more in ("", "a=end-of-candidates\r\n"):
        patched = await broker.http.patch(resource, headers=headers | SDPFRAG, data=fragment + more)
        assert patched.status == 204
    assert (await broker.http.delete(resource, headers=headers)).ok
    assert await egress.told(HangUp) == HangUp((await egress.told(Offer)).session)


async def test_software_mansion(broker: RunningBroker, egress: FakeEgress) -> None:
    """react-native-whip-whep: candidates in JSON by PATCHes without a tag or a token; another answer is no session."""
    url = f"{broker.url}whep/door"
    headers = {"Accept": "application/sdp", **BEARER, **SDP}
    posted = await broker.http.post(url, headers=headers, data=Browser().offer())
    assert posted.status == 201
    resource = urljoin(url, urlsplit(posted.headers["Location"]).path)
    candidate = {"candidate": CANDIDATE[2:].strip(), "sdpMLineIndex": 0, "sdpMid": "0", "usernameFragment": UFRAG}
    for one in (candidate, candidate | {"sdpMid": ""}):
        assert (await broker.http.patch(resource, headers=SDPFRAG, data=json.dumps(one))).status == 204
    assert (await broker.http.delete(resource, headers=BEARER)).ok
    assert await egress.told(HangUp) == HangUp((await egress.told(Offer)).session)


async def test_gstreamer_whepsrc(broker: RunningBroker, egress: FakeEgress) -> None:
    """whepsrc of gst-plugins-rs: offers sound first and once it has gathered, reads each Link alone, never trickles."""
    url = f"{broker.url}whep/door"
    offer = re.sub("(a=mid:.*\r\n)", rf"\1{CANDIDATE}", Browser().offer(audio_section("0"), video_section("1")))
    posted = await broker.http.post(url, headers=BEARER | SDP, data=offer, allow_redirects=False)
    assert posted.status == 201, "200 and 204 it takes for sent, and then waits for nothing; all else is an error"
    servers = [link for link in posted.headers.getall("Link") if 'rel="ice-server"' in link]
    uris = [link.split(">")[0].strip("<") for link in servers]
    assert uris == ["stun:stun.example:3478", "turn:turn.example"], "each has a header of its own"
    resource = urljoin(url, posted.headers["Location"])
    assert await posted.read(), "it sets what it reads as it is"
    session = (await egress.told(Offer)).session
    assert (await broker.http.delete(resource, headers=BEARER)).ok
    assert await egress.told(HangUp) == HangUp(session)


async def test_pion_in_mediamtx(broker: RunningBroker, egress: FakeEgress) -> None:
    """MediaMTX with ``source: whep://``: asks for ICE servers, offers once it has gathered, and leaves by DELETE."""
    url = f"{broker.url}whep/door"
    options = await broker.http.options(url, headers=BEARER)
    assert options.status in (200, 204)
    assert all(link.startswith("<") for link in options.headers.getall("Link"))
    offer = re.sub("(a=mid:.*\r\n)", rf"\1{CANDIDATE}", Browser().offer())
    posted = await broker.http.post(url, headers=BEARER | SDP, data=offer)
    assert posted.status == 201
    resource = urljoin(url, posted.headers["Location"])
    assert (await broker.http.delete(resource, headers=BEARER)).status == 200, "all else is an error to it"
    assert await egress.told(HangUp) == HangUp((await egress.told(Offer)).session)
