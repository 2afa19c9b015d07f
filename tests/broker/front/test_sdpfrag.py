import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.front.sdpfrag import (
    MAX_CANDIDATES,
    Ours,
    Patch,
    check_fragment,
    credentials_of,
    purpose,
    read_fragment,
)
from common.errors import RequestError
from common.sessions import ice_mark, new_session
from tests.fakes.cost import assert_linear

# RFC 8840 9, shortened
FRAGMENT = """a=ice-pwd:asd88fgpdd777uzjYhagZg
a=ice-ufrag:8hhY
m=audio 9 RTP/AVP 0
a=mid:1
a=candidate:1 1 UDP 1658497328 198.51.100.33 5000 typ host
a=candidate:2 1 UDP 1658497328 198.51.100.33 5002 typ host
m=audio 9 RTP/AVP 0
a=mid:2
a=candidate:3 1 UDP 1658497328 198.51.100.33 5010 typ srflx
a=end-of-candidates
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_fragment_may_have_any_number_of_sections(newline: str) -> None:
    check_fragment(FRAGMENT.replace("\n", newline))


def test_a_fragment_may_hold_no_candidate() -> None:
    check_fragment("a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n")


@pytest.mark.parametrize("text", ["", "\r\n", "{}", "candidate:1", "aa=x", "=x", "a=mid:0\nnonsense"])
def test_what_is_no_fragment_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_fragment(text)
    assert (caught.value.status, caught.value.code) == (400, "malformed_sdpfrag")


@pytest.mark.parametrize("piece", ["a=\n", "\r", "\n", "a=candidate:1\n", "x"])
def test_the_time_is_in_proportion_to_the_fragment(piece: str) -> None:
    assert_linear(check_fragment, piece)


def test_the_number_of_lines_is_limited() -> None:
    with pytest.raises(RequestError, match="more than 1000 lines"):
        check_fragment("a=mid:0\n" * 1_001)


@pytest.mark.parametrize("end", ["a=candidate:1\n", "a=end-of-candidates\n"])
def test_the_number_of_candidates_is_limited(end: str) -> None:
    most = "a=candidate:1\n" * (MAX_CANDIDATES // 2) + "a=mid:2\n" + "a=candidate:2\n" * (MAX_CANDIDATES // 2)
    check_fragment(most)
    with pytest.raises(RequestError) as caught:
        check_fragment(most + end)
    assert caught.value.code == "too_many_candidates"


@given(text=st.text() | st.lists(st.sampled_from(["a=candidate:1", "a=end-of-candidates", "a=", "m=x"])).map("\n".join))
def test_any_text_is_a_fragment_or_an_error(text: str) -> None:
    with contextlib.suppress(RequestError):
        check_fragment(text)


SESSION = new_session("v=0\r\na=ice-ufrag:8hhY\r\n")
FIRST = Ours(SESSION, "", '"first"')
SECOND = Ours(SESSION, ice_mark(SESSION, "second"), '"second"')
ALONE = "m=audio 9 RTP/AVP 0\r\na=end-of-candidates\r\n"  # no credentials


def of(ufrag: str) -> str:
    return FRAGMENT.replace("8hhY", ufrag)


@pytest.mark.parametrize(
    ("fragment", "condition", "ours", "expected"),
    [
        (FRAGMENT, '"first"', FIRST, Patch.TRICKLE),
        (FRAGMENT, 'W/"x", "first"', FIRST, Patch.TRICKLE),
        (FRAGMENT, "*", FIRST, Patch.TRICKLE),  # MediaMTX's reader
        (FRAGMENT, None, FIRST, Patch.TRICKLE),  # whip-whep
        (ALONE, "*", FIRST, Patch.TRICKLE),
        (ALONE, '"first"', FIRST, Patch.TRICKLE),
        (of("second"), "*", FIRST, Patch.RESTART),
        (of("second"), None, FIRST, Patch.RESTART),
        (of("second"), '"first"', FIRST, Patch.RESTART),
        (of("second"), "*", SECOND, Patch.TRICKLE),
        (of("second"), '"second"', SECOND, Patch.TRICKLE),
        (FRAGMENT, "*", SECOND, Patch.RESTART),  # which its egress refuses, as it knows the earlier ones
        ("a=ice-ufrag:other\r\na=mid:0\r\n", '"first"', FIRST, Patch.TRICKLE),  # the tag says it
        (FRAGMENT, '"first"', SECOND, 412),
        (FRAGMENT, "", FIRST, Patch.TRICKLE),
        (FRAGMENT, "undefined", FIRST, Patch.TRICKLE),
        (FRAGMENT, 'W/"first"', FIRST, Patch.TRICKLE),
        (FRAGMENT, "first", FIRST, Patch.TRICKLE),
        (FRAGMENT, "second", FIRST, 412),
        (ALONE, None, FIRST, 428),
        (
            "a=candidate:1 1 udp 1 192.0.2.7 5000 typ host generation 0 ufrag 8hhY network-cost 50",
            None,
            FIRST,
            Patch.TRICKLE,
        ),
        ("a=candidate:1 1 udp 1 192.0.2.7 5000 typ host ufrag other", None, FIRST, 428),
        ("a=ice-ufrag:other\r\n", None, FIRST, 428),
        ("a=ice-ufrag:other\r\n", "*", FIRST, 400),
        (of("x"), "*", FIRST, 400),  # RFC 8839 5.4: at least 4
        (of("other").replace("asd88fgpdd777uzjYhagZg", "short"), "*", FIRST, 400),
        (of("other").replace("asd88fgpdd777uzjYhagZg", "x" * 257), "*", FIRST, 400),
    ],
)
def test_the_purpose_of_a_fragment(fragment: str, condition: str | None, ours: Ours, expected: Patch | int) -> None:
    if isinstance(expected, Patch):
        assert purpose(fragment, condition, ours) is expected
        return
    with pytest.raises(RequestError) as caught:
        purpose(fragment, condition, ours)
    assert caught.value.status == expected


CANDIDATE = "candidate:1 1 udp 1 192.0.2.7 5000 typ host"


@pytest.mark.parametrize(
    ("body", "purpose_of_it"),
    [
        ({"candidate": CANDIDATE, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "8hhY"}, Patch.TRICKLE),
        ({"candidate": f"{CANDIDATE} ufrag 8hhY", "sdpMid": "0"}, Patch.TRICKLE),
        ([{"candidate": f"a={CANDIDATE}", "usernameFragment": "8hhY"}, {"candidate": ""}], Patch.TRICKLE),
        ({"candidate": CANDIDATE, "usernameFragment": "other"}, 428),
        ({"candidate": f"{CANDIDATE}\r\nz=1", "usernameFragment": "8hhY\n"}, Patch.TRICKLE),  # in one line
        ({"candidate": [{"candidate": CANDIDATE}]}, 400),
        ([CANDIDATE], 400),
        ({"type": "offer", "sdp": "v=0"}, 400),
        ([{"candidate": CANDIDATE, "usernameFragment": "8hhY"}] * (MAX_CANDIDATES + 1), 400),
        ([], 400),
    ],
)
def test_candidates_may_be_the_json_of_browsers(body: object, purpose_of_it: Patch | int) -> None:
    try:
        fragment = read_fragment(json.dumps(body))
        check_fragment(fragment)
        found: Patch | int = purpose(fragment, None, FIRST)
    except RequestError as exc:
        found = exc.status
    assert found == purpose_of_it


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"candidate": 1}', "[1, 2"])
def test_what_begins_like_json_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="JSON"):
        read_fragment(text)
    assert read_fragment(FRAGMENT) == FRAGMENT


@pytest.mark.parametrize("newline", ["\n", "\r\n", " \r\n"])
def test_credentials_are_read_from_a_fragment(newline: str) -> None:
    assert credentials_of(FRAGMENT.replace("\n", newline)) == ("8hhY", "asd88fgpdd777uzjYhagZg")


@pytest.mark.parametrize("text", [ALONE, "a=ice-ufrag:8hhY\r\n", "a=ice-pwd:asd88fgpdd777uzjYhagZg\r\n"])
def test_without_both_there_is_no_restart(text: str) -> None:
    with pytest.raises(RequestError, match="both new"):
        credentials_of(text)


@pytest.mark.parametrize(
    "piece", ["a=ice-ufrag:", "a=ice-pwd:x\n", "\na=ice-pwd:" + 256 * "x", "x", "\na=candidate: ufrag 8", " ufrag x"]
)
def test_the_time_to_find_its_purpose_is_in_proportion_too(piece: str) -> None:
    assert_linear(lambda text: purpose(text, '"first"', FIRST), piece)
