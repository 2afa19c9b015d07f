import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.front.sdpfrag import MAX_CANDIDATES, check_fragment
from common.errors import RequestError
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
