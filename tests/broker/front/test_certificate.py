"""The front door's certificate: which files are taken, and when they are read again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from broker.front import certificate
from broker.front.certificate import SOON, Certificate, certificate_of, load
from common.config import HttpConfig
from common.errors import ConfigError
from rigs.authority import Authority, Issued
from tests.fakes.log import Recorder


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    log = Recorder()
    monkeypatch.setattr(certificate, "log", log)
    return log


@pytest.fixture
def live(authority: Authority, tmp_path: Path) -> Issued:
    """The pair that is configured."""
    return Issued(*(Path(shutil.copy(file, tmp_path / name)) for file, name in files(authority.issue("old"))))


def files(issued: Issued) -> list[tuple[Path, str]]:
    return [(issued.cert, "live.crt"), (issued.key, "live.key")]


def test_there_is_none_without_its_setting() -> None:
    assert certificate_of(HttpConfig()) is None


def test_certificate_and_key_may_be_in_one_file(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue("both")
    both = tmp_path / "both.pem"
    both.write_bytes(issued.key.read_bytes() + issued.cert.read_bytes())
    found = certificate_of(HttpConfig.model_validate({"tls_cert": both}))
    assert found is not None
    assert found.context.cert_store_stats()["x509"] == 0  # nothing of it is trusted, only shown


def missing(pair: Issued) -> Issued:
    pair.cert.unlink()
    return pair


def missing_key(pair: Issued) -> Issued:
    pair.key.unlink()
    return pair


def directory(pair: Issued) -> Issued:
    return Issued(pair.cert.parent, pair.key)


def empty(pair: Issued) -> Issued:
    pair.cert.write_bytes(b"")
    return pair


def swapped(pair: Issued) -> Issued:
    return Issued(pair.key, pair.cert)


def cut(pair: Issued) -> Issued:
    pair.cert.write_bytes(pair.cert.read_bytes()[:200])
    return pair


def of_another(pair: Issued) -> Issued:
    return Issued(pair.cert, Authority(pair.key.parent).issue("another").key)


def encrypted(pair: Issued) -> Issued:
    return Authority(pair.key.parent).issue("locked", password=b"x")


def weak(pair: Issued) -> Issued:
    key = rsa.generate_private_key(65_537, 1_024)
    name = x509.load_pem_x509_certificate(pair.cert.read_bytes())
    builder = x509.CertificateBuilder(
        name.issuer, name.subject, key.public_key(), 1, name.not_valid_before_utc, name.not_valid_after_utc
    )
    pair.cert.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return pair


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (missing, r"http\.tls_cert: .*live\.crt cannot be read: No such file or directory"),
        (missing_key, r"http\.tls_key: .*live\.key cannot be read: No such file or directory"),
        (directory, r"http\.tls_cert: .* cannot be read: it is a directory"),
        (empty, r"http\.tls_cert: .*live\.crt holds no certificate in PEM form"),
        (swapped, r"http\.tls_cert: .*live\.key holds no certificate in PEM form"),
        (cut, r"http\.tls_key: the certificate in .*live\.crt and the key in .*live\.key cannot be used: one of them"),
        (of_another, r"http\.tls_key: the key in .*another\.key does not match the certificate in .*live\.crt"),
        (encrypted, r"http\.tls_key: .*locked\.key is encrypted; remove its password: openssl pkey -in"),
        (weak, r"http\.tls_key: .* cannot be used: ee key too small"),
    ],
)
def test_a_pair_that_cannot_be_used_is_an_error_that_says_why(
    live: Issued, spoil: Callable[[Issued], Issued], sentence: str
) -> None:
    pair = spoil(live)
    with pytest.raises(ConfigError, match=f"^{sentence}"):
        load(pair.cert, pair.key)


@pytest.mark.parametrize("key", ["tls_key", "redirect_from"])
def test_what_means_nothing_without_a_certificate_is_an_error(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key} is given without tls_cert"):
        HttpConfig.model_validate({key: ":80"})


def replace(live: Issued, issued: Issued) -> None:
    """As certbot's hooks and ``install`` do: new files in the places of the old."""
    for (source, _), target in zip(files(issued), (live.cert, live.key), strict=True):
        shutil.copy(source, target.with_suffix(".new"))
        target.with_suffix(".new").replace(target)


def overwrite(live: Issued, issued: Issued) -> None:
    """As an editor does: the same files, other bytes."""
    live.cert.write_bytes(issued.cert.read_bytes())
    live.key.write_bytes(issued.key.read_bytes())


@pytest.mark.parametrize("change", [replace, overwrite])
def test_a_new_pair_is_taken_when_nothing_changes_any_more(
    authority: Authority, live: Issued, log: Recorder, change: Callable[[Issued, Issued], None]
) -> None:
    found = Certificate(live.cert, live.key)
    before = found.context
    for _ in range(3):
        found.look()
    assert found.context is before
    expires = found.expires
    change(live, authority.issue("new", days=900))
    found.look()
    assert found.context is before  # the second file may not be written yet
    found.look()
    assert found.context is not before
    after = found.context
    found.look()
    assert found.context is after
    assert [event for event, _ in log.lines] == ["certificate", "certificate has changed"]
    assert log.lines[1][1]["subject"] == "CN=new"
    assert expires is not None
    assert found.expires is not None
    assert found.expires > expires + 86_400


def test_a_symbolic_link_that_leads_elsewhere_is_a_change(authority: Authority, tmp_path: Path, log: Recorder) -> None:
    """Kubernetes: tls.crt -> ..data/tls.crt, and ..data -> a directory that is another one at each change."""
    for number in "12":
        (tmp_path / f"..{number}").mkdir()
        authority.issue("tls", directory=tmp_path / f"..{number}")
    data = tmp_path / "..data"
    data.symlink_to("..1")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    found = Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")
    before = found.context
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").replace(data)
    found.look()
    found.look()
    assert found.context is not before


def test_half_a_pair_keeps_the_old_one_and_says_so_once(authority: Authority, live: Issued, log: Recorder) -> None:
    found = Certificate(live.cert, live.key)
    before, new = found.context, authority.issue("new")
    live.cert.write_bytes(new.cert.read_bytes())
    for _ in range(5):
        found.look()
    assert found.context is before
    told = log.of("certificate has changed but cannot be used; the previous one stays in use")
    assert len(told) == 1
    assert "does not match the certificate" in told[0]["reason"]
    live.key.write_bytes(new.key.read_bytes())
    found.look()
    found.look()
    assert found.context is not before


def test_a_pair_that_goes_away_and_comes_back_is_no_harm(live: Issued, log: Recorder) -> None:
    found = Certificate(live.cert, live.key)
    before = found.context
    away = live.cert.rename(live.cert.with_suffix(".away"))
    for _ in range(3):
        found.look()
    assert found.context is before
    assert len(log.of("certificate has changed but cannot be used; the previous one stays in use")) == 1
    away.rename(live.cert)
    found.look()
    found.look()
    assert len(log.lines) == 3  # the same files as before: it is read anew, and that is said


def test_what_changes_while_it_is_read_is_waited_for(
    authority: Authority, live: Issued, log: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Certificate(live.cert, live.key)
    before = found.context

    def renewed_meanwhile(cert: Path, key: Path | None) -> object:
        overwrite(live, authority.issue("newer"))
        return load(cert, key)

    with monkeypatch.context() as patched:
        patched.setattr(certificate, "load", renewed_meanwhile)
        replace(live, authority.issue("new"))
        found.look()
        found.look()
        assert found.context is before
    found.look()
    found.look()
    assert log.lines[-1][1]["subject"] == "CN=newer"


def test_an_expired_certificate_is_used_and_told_of(authority: Authority, log: Recorder) -> None:
    pair = authority.issue("late", days=-1)
    Certificate(pair.cert, pair.key).remind(time.time())
    assert len(log.of("certificate has expired: browsers reject it")) == 1


def test_the_end_of_a_certificate_is_spoken_of_once_a_day_until_there_is_another(
    authority: Authority, live: Issued, log: Recorder
) -> None:
    overwrite(live, authority.issue("long", days=100))
    found = Certificate(live.cert, live.key)
    assert found.expires is not None
    end, day = found.expires, 86_400.0
    for now in (end - SOON - 1, end - SOON, end - SOON + 1, end - SOON + day, end - 1, end, end - 1 + day):
        found.remind(now)
    assert len(log.of("certificate expires soon; whatever renews it may have failed")) == 3
    assert len(log.of("certificate has expired: browsers reject it")) == 1
    overwrite(live, authority.issue("new", days=900))
    found.look()
    found.look()
    lines = len(log.lines)
    found.remind(end + 1)
    assert len(log.lines) == lines


def test_a_certificate_of_a_few_days_is_no_news_before_its_last_quarter(live: Issued, log: Recorder) -> None:
    found = Certificate(live.cert, live.key)
    assert found.expires is not None
    begins = x509.load_pem_x509_certificate(live.cert.read_bytes()).not_valid_before_utc.timestamp()
    assert found.expires - begins < 4 * SOON
    found.remind(begins + 0.7 * (found.expires - begins))
    assert [event for event, _ in log.lines] == ["certificate"]
    found.remind(begins + 0.8 * (found.expires - begins))
    assert log.lines[-1][0].startswith("certificate expires soon")
