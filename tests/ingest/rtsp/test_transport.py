"""The Transport header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from ingest.rtsp.transport import TransportSpec

PORTS = st.none() | st.tuples(st.integers(1, 65_535), st.integers(1, 65_535))


@given(
    st.builds(
        TransportSpec,
        tcp=st.just(False),
        multicast=st.booleans(),
        client_port=PORTS,
        server_port=PORTS,
        source=st.none() | st.just("10.0.0.1"),
        ssrc=st.none() | st.integers(0, 2**32 - 1),
        destination=st.none() | st.just("239.1.1.1"),
        port=PORTS,
        ttl=st.none() | st.integers(1, 255),
    )
    | st.builds(TransportSpec, tcp=st.just(True), interleaved=st.tuples(st.integers(0, 255), st.integers(0, 255)))
)
def test_round_trip(spec: TransportSpec) -> None:
    assert TransportSpec.parse(str(spec)) == spec


def test_what_we_send_has_no_mode() -> None:
    assert str(TransportSpec(True, interleaved=(0, 1))) == "RTP/AVP/TCP;unicast;interleaved=0-1"
    assert str(TransportSpec(False, client_port=(5000, 5001))) == "RTP/AVP;unicast;client_port=5000-5001"
    assert str(TransportSpec(True, interleaved=(0, 1), profile="SAVP")) == "RTP/SAVP/TCP;unicast;interleaved=0-1"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=12AB", TransportSpec(True, interleaved=(2, 3), ssrc=0x12AB)),
        ("RTP/AVP/TCP;interleaved=4", TransportSpec(True, interleaved=(4, 5))),
        ("RTP/AVP;unicast;interleaved=0-1", TransportSpec(True, interleaved=(0, 1))),  # TCP under a plain name
        ("RTP/AVP/TCP;unicast", TransportSpec(True)),
        (
            "rtp/avp/udp; unicast; Client_Port=5000-5001; server_port=6000-6001; source=10.0.0.1",
            TransportSpec(False, client_port=(5000, 5001), server_port=(6000, 6001), source="10.0.0.1"),
        ),
        ("RTP/AVP;unicast;client_port=5000-5001", TransportSpec(False, client_port=(5000, 5001))),
        ("RTP/AVP;unicast;server_port=0-0", TransportSpec(False)),
        ("RTP/AVP;unicast;server_port=70000-70001;ssrc=nonsense", TransportSpec(False)),
        (
            "RTP/AVP;multicast;destination=239.0.0.1;source=10.0.0.9;port=5000-5001;ttl=16",
            TransportSpec(False, multicast=True, destination="239.0.0.1", source="10.0.0.9", port=(5000, 5001), ttl=16),
        ),
        (
            "RTP/AVP/UDP;destination=239.0.0.1;port=5000;ttl=1000",  # RFC 2326 12.39: a multicast's, by its port
            TransportSpec(False, multicast=True, destination="239.0.0.1", port=(5000, 5001)),
        ),
        ("RTP/SAVP;unicast, RTP/AVP;unicast", TransportSpec(False, profile="SAVP")),
        ('RTP/AVP/TCP;unicast;interleaved=0-1;mode="PLAY";', TransportSpec(True, interleaved=(0, 1))),
    ],
)
def test_as_cameras_write_it(value: str, expected: TransportSpec) -> None:
    assert TransportSpec.parse(value) == expected


@pytest.mark.parametrize("value", ["", "RTP/XAVP;unicast", "nonsense", ";;;"])
def test_nothing_known(value: str) -> None:
    with pytest.raises(ProtocolError):
        TransportSpec.parse(value)


@given(st.text(max_size=100) | st.text("RTP/AVPTCP;=-0129,unicastlervdport", max_size=100))
def test_anything(value: str) -> None:
    try:
        spec = TransportSpec.parse("RTP/AVP;" + value)
    except ProtocolError:
        return
    assert spec.server_port is None or 0 < min(spec.server_port) <= max(spec.server_port) < 65_536
