"""Authentication: the RFCs' own vectors, the client's choices, and client against server."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rtsp.auth import Authenticator, Authorization, Challenge, Pin, digest_response

USER, PASSWORD = "admin", "s3cr:et@ü"
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_characters="\x7f"), max_size=20)


def answer(auth: Authenticator, *challenges: str, method: str = "DESCRIBE", uri: str = "rtsp://camera/live") -> str:
    """The header that follows a 401 with these challenges."""
    assert auth.challenged(challenges)
    header = auth.header(method, uri)
    assert header is not None
    return header


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_vectors(algorithm: str, expected: str) -> None:
    # RFC 7616 3.9.1
    response = digest_response(
        algorithm,
        "Mufasa",
        "Circle of Life",
        "http-auth@example.org",
        "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "GET",
        "/dir/index.html",
        qop="auth",
        nonce_count="00000001",
        client_nonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert response == expected


@pytest.mark.parametrize("nonce", ["", ', nonce=""', ", nonce="])
def test_a_digest_with_an_empty_nonce_is_answered_once(nonce: str) -> None:
    auth = Authenticator(USER, PASSWORD)
    challenge = f'Digest realm="r"{nonce}'
    given = Authorization.parse(answer(auth, challenge))
    assert (given.scheme, given.nonce) == ("digest", "")
    assert given.verify(Challenge("Digest", "r"), "DESCRIBE", USER, PASSWORD)
    assert not auth.challenged([challenge])  # refused: it is not sent again
    assert not auth.challenged(['Basic realm="r"'])  # nor the password itself


def test_rfc_2069_vector() -> None:
    # RFC 2069 2.4, with the erratum's value
    response = digest_response(
        "",
        "Mufasa",
        "CircleOfLife",
        "testrealm@host.com",
        "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "GET",
        "/dir/index.html",
    )
    assert response == "1949323746fe6a43ef61f9606e7febea"


@pytest.mark.parametrize(
    ("challenges", "scheme", "algorithm"),
    [
        (['Basic realm="r"'], "Basic", ""),
        (['Basic realm="r"', 'Digest realm="r", nonce="n"'], "Digest", ""),
        (['Digest realm="r", nonce="n"', 'Digest realm="r", nonce="n", algorithm=SHA-256'], "Digest", "SHA-256"),
        (
            ['Digest realm="r", nonce="n", algorithm="SHA-512-256"', 'Digest realm="r", nonce="n"'],
            "Digest",
            "SHA-512-256",
        ),
        (['Digest realm="r", nonce="n", qop="auth-int"', 'Digest realm="r", nonce="n"'], "Digest", ""),
        (["Negotiate abc==", 'Digest realm="r", nonce="n"'], "Digest", ""),
        (['Digest realm="r", nonce="n", algorithm=MD5, Basic realm="r"'], "Digest", "MD5"),
        (['Basic realm="r", Digest realm="r",nonce="n",algorithm=md5'], "Digest", "md5"),
        (['Hawk, Digest realm = "r" , nonce = "n"'], "Digest", ""),
        (['Digest realm="r"', 'Basic realm="r"'], "Basic", ""),
    ],
)
def test_chooses_the_strongest_it_knows(challenges: list[str], scheme: str, algorithm: str) -> None:
    header = answer(Authenticator(USER, PASSWORD), *challenges)
    assert header.startswith(scheme)
    assert ("algorithm=" + algorithm in header) if algorithm else ("algorithm" not in header)


@pytest.mark.parametrize(
    "challenges",
    [
        [],
        ["Negotiate"],
        ['Digest realm="r", qop=x'],
        ['Digest realm="r", algorithm=X'],
        ['Digest realm="r", nonce="n", algorithm=X'],
    ],
)
def test_nothing_known_is_final(challenges: list[str]) -> None:
    assert not Authenticator(USER, PASSWORD).challenged(challenges)


def test_scheme_that_only_looks_like_digest() -> None:
    assert Challenge.parse_all(['Custom realm="r", nonce="n"']) == []


def test_a_digest_with_the_body_is_that_of_an_empty_one() -> None:
    header = Authenticator(USER, PASSWORD)
    given = answer(header, 'Digest realm="r", nonce="n", qop="auth-int"')
    assert "qop=auth-int" in given
    assert Authorization.parse(given).verify(
        Challenge("Digest", "r", "n", qop=("auth-int",)), "DESCRIBE", USER, PASSWORD
    )
    assert "qop=auth," in answer(Authenticator(USER, PASSWORD), 'Digest realm="r", nonce="n", qop="auth-int,auth"')


def test_a_digest_with_the_body_as_rfc_7616_3_4_3_has_it() -> None:
    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    request = md5(f"DESCRIBE:rtsp://h/x:{md5('')}")
    expected = md5(f"{md5(f'{USER}:r:{PASSWORD}')}:n:00000001:c:auth-int:{request}")
    given = {"qop": "auth-int", "nonce_count": "00000001", "client_nonce": "c"}
    assert digest_response("MD5", USER, PASSWORD, "r", "n", "DESCRIBE", "rtsp://h/x", **given) == expected


@pytest.mark.parametrize("token", ["", " abc", " abc==", " a/b+c="])
def test_several_challenges_in_one_header_behind_one_that_is_only_a_token(token: str) -> None:
    assert "nonce" in answer(Authenticator(USER, PASSWORD), f'Negotiate{token}, Digest realm="r", nonce="n"')


def test_realm_that_is_not_quoted() -> None:
    [challenge] = Challenge.parse_all(['Digest realm=IP Camera(12), nonce="n", algorithm=MD5'])
    assert (challenge.nonce, challenge.algorithm) == ("n", "MD5")


def test_session_variant() -> None:
    # RFC 7616 3.4.2
    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    secret = md5(f"{md5('u:r:p')}:n:c")
    expected = md5(f"{secret}:n:00000001:c:auth:{md5('PLAY:*')}")
    given = digest_response(
        "MD5-sess", "u", "p", "r", "n", "PLAY", "*", qop="auth", nonce_count="00000001", client_nonce="c"
    )
    assert given == expected


def test_what_a_server_insists_on() -> None:
    challenge = replace(Challenge.digest("r"), opaque="o")
    for lax in (replace(challenge, opaque=None), replace(challenge, qop=()), replace(challenge, algorithm="")):
        header = answer(Authenticator(USER, PASSWORD), str(lax))
        assert not Authorization.parse(header).verify(challenge, "DESCRIBE", USER, PASSWORD)


def test_no_credentials_is_final() -> None:
    assert not Authenticator(None).challenged(['Basic realm="r"'])


def test_unasked_means_unsent() -> None:
    assert Authenticator(USER, PASSWORD).header("OPTIONS", "*") is None


@pytest.mark.parametrize("algorithm", ["", "MD5", "md5", "SHA-256", "SHA-512-256", "MD5-sess", "SHA-256-sess"])
@pytest.mark.parametrize("qop", [(), ("auth",), ("auth", "auth-int")])
def test_client_against_server(algorithm: str, qop: tuple[str, ...]) -> None:
    challenge = Challenge.digest("IP Camera", algorithm=algorithm, qop=qop)
    auth = Authenticator(USER, PASSWORD)
    header = answer(auth, str(challenge))
    assert Authorization.parse(header).verify(challenge, "DESCRIBE", USER, PASSWORD)
    assert not Authorization.parse(header).verify(challenge, "SETUP", USER, PASSWORD)
    assert not Authorization.parse(header).verify(challenge, "DESCRIBE", USER, "other")
    assert not Authorization.parse(header).verify(challenge, "DESCRIBE", "other", PASSWORD)
    again = Challenge.digest("IP Camera", algorithm=algorithm, qop=qop)
    assert not Authorization.parse(header).verify(again, "DESCRIBE", USER, PASSWORD)


def test_basic_against_server() -> None:
    challenge = Challenge.basic("IP Camera")
    header = answer(Authenticator(USER, PASSWORD), str(challenge))
    assert base64.b64decode(header.split()[1]).decode() == f"{USER}:{PASSWORD}"
    assert Authorization.parse(header).verify(challenge, "PLAY", USER, PASSWORD)
    assert not Authorization.parse(header).verify(challenge, "PLAY", USER, "other")
    assert not Authorization.parse("Basic ???").verify(challenge, "PLAY", USER, PASSWORD)


@given(TEXT.filter(lambda name: ":" not in name), TEXT, TEXT)
def test_any_name_and_password(username: str, password: str, realm: str) -> None:
    for challenge in (Challenge.digest(realm), Challenge.digest(realm, qop=()), Challenge.basic(realm)):
        header = answer(Authenticator(username, password), str(challenge))
        assert Authorization.parse(header).verify(challenge, "DESCRIBE", username, password)


def test_bytes_that_are_not_utf8_are_echoed_as_they_came() -> None:
    realm = b"Cam\xe9ra".decode("utf-8", "surrogateescape")
    challenge = Challenge.digest(realm)
    header = answer(Authenticator(USER, PASSWORD), str(challenge))
    assert b'realm="Cam\xe9ra"' in header.encode("utf-8", "surrogateescape")
    assert Authorization.parse(header).verify(challenge, "DESCRIBE", USER, PASSWORD)


@given(st.lists(st.text(max_size=200), max_size=3))
def test_any_challenge_parses(values: list[str]) -> None:
    for challenge in Challenge.parse_all(values):
        assert Challenge.parse_all([str(challenge)])[0].realm == challenge.realm


@given(st.text(max_size=200))
def test_any_authorization_parses(value: str) -> None:
    assert not Authorization.parse(value).verify(Challenge.digest("r"), "PLAY", USER, PASSWORD)


def test_hostile_header_takes_no_time() -> None:
    Challenge.parse_all(["Digest " + " " * 16_000 + "x", "," * 16_000, 'a="' * 5_000, "Digest " + "a" * 16_000])


def test_opaque_and_algorithm_are_echoed_and_quotes_escaped() -> None:
    header = answer(
        Authenticator('a"b\\c', "p"), r'Digest realm="my \"cam\"", nonce="n", opaque="o=", algorithm=mD5, qop="auth"'
    )
    assert r'username="a\"b\\c"' in header
    assert r'realm="my \"cam\""' in header
    assert 'opaque="o="' in header
    assert "algorithm=mD5" in header
    assert re.search(r'qop=auth, nc=00000001, cnonce="[0-9a-f]{16}"', header)


def test_old_digest_has_no_qop_words() -> None:
    header = answer(Authenticator(USER, PASSWORD), 'Digest realm="r", nonce="n"')
    assert not re.search("qop|nc=|cnonce|algorithm|opaque", header)


def test_nonce_count_grows_and_starts_anew_with_a_nonce() -> None:
    auth = Authenticator(USER, PASSWORD)
    assert "nc=00000001" in answer(auth, 'Digest realm="r", nonce="n", qop="auth"')
    auth.accepted()
    assert "nc=00000002" in (auth.header("SETUP", "rtsp://camera/live/1") or "")
    auth.accepted()
    assert "nc=00000001" in answer(auth, 'Digest realm="r", nonce="m", qop="auth"')


def test_wrong_password_is_sent_once() -> None:
    auth = Authenticator(USER, "wrong")
    answer(auth, 'Digest realm="r", nonce="n"')
    assert not auth.challenged(['Digest realm="r", nonce="n"'])


def test_wrong_password_is_sent_once_even_if_the_nonce_changes() -> None:
    auth = Authenticator(USER, "wrong")
    answer(auth, 'Digest realm="r", nonce="n"')
    assert not auth.challenged(['Digest realm="r", nonce="m"', 'Basic realm="r"'])


@pytest.mark.parametrize(
    ("challenge", "realm"),
    [
        ('Digest realm="r"; nonce="n"', "r"),
        ("Digest realm='my cam', nonce='n'", "my cam"),
        ('Digest realm="my "best" cam", nonce="n"', 'my "best" cam'),
        ('Digest realm="a, b=c" nonce="n"', "a, b=c"),
        (r'Digest realm="my \"cam\"", nonce="n"', 'my "cam"'),
    ],
)
def test_challenges_that_are_quoted_and_parted_in_other_ways(challenge: str, realm: str) -> None:
    [read] = Challenge.parse_all([challenge])
    assert (read.realm, read.nonce) == (realm, "n")


@pytest.mark.parametrize(
    ("spelt", "registered"),
    [("SHA256", "SHA-256"), ("sha-256", "SHA-256"), ("SHA-512/256", "SHA-512-256"), ("SHA512-256", "SHA-512-256")],
)
def test_algorithms_may_be_spelt_in_other_ways(spelt: str, registered: str) -> None:
    [challenge] = Challenge.parse_all([f'Digest realm="r", nonce="n", algorithm={spelt}'])
    assert challenge.strength == Challenge.digest("r", algorithm=registered).strength
    given = answer(Authenticator("admin", "secret"), str(challenge))
    assert f"algorithm={spelt}" in given
    assert Authorization.parse(given).verify(challenge, "DESCRIBE", "admin", "secret")


def test_the_challenge_of_a_connection_that_ended_with_it_is_answered_on_the_next() -> None:
    pin = Pin()
    first = Authenticator("admin", "secret", pin=pin)
    answer(first, 'Digest realm="r", nonce="n"')
    first.hung_up()
    second = Authenticator("admin", "secret", pin=pin)
    assert second.header("OPTIONS", "rtsp://camera/") is None
    assert not second.sent
    assert 'nonce="n"' in (second.header("DESCRIBE", "rtsp://camera/") or "")
    assert second.challenged(['Digest realm="r", nonce="m"'])
    second.header("DESCRIBE", "rtsp://camera/")
    assert not second.challenged(['Digest realm="r", nonce="o"'])


def test_stale_nonce_is_answered_once() -> None:
    auth = Authenticator(USER, PASSWORD)
    answer(auth, 'Digest realm="r", nonce="n"')
    assert 'nonce="m"' in answer(auth, 'Digest realm="r", nonce="m", stale=TRUE')
    assert not auth.challenged(['Digest realm="r", nonce="o", stale=true'])


def test_new_nonce_in_mid_session_is_answered_each_time() -> None:
    auth = Authenticator(USER, PASSWORD)
    answer(auth, 'Digest realm="r", nonce="n0"')
    for number in range(1, 5):
        auth.accepted()
        auth.header("GET_PARAMETER", "rtsp://camera/live")
        answer(auth, f'Digest realm="r", nonce="n{number}"')


def test_same_nonce_again_is_final_even_in_mid_session() -> None:
    auth = Authenticator(USER, PASSWORD)
    answer(auth, 'Digest realm="r", nonce="n"')
    auth.accepted()
    auth.header("SETUP", "rtsp://camera/live")
    assert not auth.challenged(['Digest realm="r", nonce="n"'])


BASIC = Challenge.basic("IP Camera")


def test_basic_is_not_answered_once_a_digest_was_taken() -> None:
    auth = Authenticator(USER, PASSWORD)
    answer(auth, str(Challenge.digest("IP Camera")))
    auth.accepted()
    assert not auth.challenged([str(BASIC)])
    assert auth.withheld


def test_basic_is_not_answered_by_any_later_connection_either() -> None:
    pin = Pin()
    first = Authenticator(USER, PASSWORD, pin=pin)
    answer(first, str(Challenge.digest("IP Camera")))
    assert not pin.digest  # it may still be refused
    first.accepted()
    later = Authenticator(USER, PASSWORD, encrypted=True, pin=pin)
    assert not later.challenged([str(BASIC)])
    assert later.withheld
    assert later.challenged([str(Challenge.digest("IP Camera"))])
    assert not later.withheld


def test_basic_is_not_answered_where_a_digest_was_refused() -> None:
    auth = Authenticator(USER, PASSWORD)
    answer(auth, str(Challenge.digest("IP Camera")))
    assert not auth.challenged([str(BASIC)])


def test_basic_beside_a_digest_that_is_not_known_needs_tls() -> None:
    offered = [str(Challenge.digest("IP Camera", algorithm="MD6")), str(BASIC)]
    plain = Authenticator(USER, PASSWORD)
    assert not plain.challenged(offered)
    assert plain.withheld
    assert Authenticator(USER, PASSWORD, encrypted=True).challenged(offered)


def test_basic_alone_is_answered_as_long_as_nothing_better_was_seen() -> None:
    auth = Authenticator(USER, PASSWORD)
    assert answer(auth, str(BASIC)).startswith("Basic ")
    auth.accepted()
    assert not auth.pin.digest
    assert not auth.withheld


def test_password_is_in_no_repr() -> None:
    auth = Authenticator(USER, "hunter2")
    header = answer(auth, 'Basic realm="r"')
    assert "hunter2" not in repr(auth)
    assert header.split()[1] not in repr(Authorization.parse(header))
