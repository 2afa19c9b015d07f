"""Seals what the store has of cameras: whoever has its file alone, a backup of it, or its disk, learns no password.

AES-256-GCM (NIST SP 800-38D), a nonce of its own for each value. Where a value stands is authenticated with it, so that
none can be put in another's place. The key lies in a file of its own, which we make where there is none. Whoever can
read both files reads everything: they are their owner's alone, and belong in different backups.

Another key lies beside the one that it follows (``.next``) until all is sealed with it, and then takes its place. Who
opens the store in between, after a crash, finds by which of the two it is sealed, and ends what was begun.
"""

from __future__ import annotations

import base64
import binascii
import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.errors import ConfigError, refused, unreadable
from common.log import get_logger

MARK = "aes256gcm:"  # before what is sealed; nothing that older releases wrote begins so
KEY_BYTES = 32
NONCE_BYTES = 12  # SP 800-38D 8.2.2: drawn at random, it is good for 2^32 values

log = get_logger()


class SealError(ValueError):
    """A value that was sealed with another key, or for another place, or was changed since."""


class Vault:
    """The key, for as long as the store is open."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher = AESGCM(key)

    def seal(self, text: str, place: str) -> str:
        """The text as it may be read by others."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), place.encode())
        return MARK + base64.b64encode(sealed).decode()

    def open(self, sealed: str, place: str) -> str:
        """The text that was sealed. Raises ``SealError``."""
        if not is_sealed(sealed):
            raise SealError("is not sealed")
        try:
            data = base64.b64decode(sealed.removeprefix(MARK), validate=True)
            return self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.encode()).decode()
        except (binascii.Error, ValueError, InvalidTag):
            raise SealError("cannot be opened") from None

    def opens(self, sealed: str, place: str) -> bool:
        """Whether it was sealed with this key."""
        try:
            self.open(sealed, place)
        except SealError:
            return False
        return True

    def write(self, path: Path, *, like: Path | None = None) -> None:
        """Write the key where there is none, whole or not at all. Raises ``OSError``.

        ``like``: with the owner and the mode of that file.
        """
        begun = path.with_name(f"{path.name}.new")
        begun.unlink(missing_ok=True)
        file = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if like is not None:
                found = like.stat()
                os.fchown(file, found.st_uid, found.st_gid)
                os.fchmod(file, stat.S_IMODE(found.st_mode))
            os.write(file, f"{self._key.hex()}\n".encode())
            os.fsync(file)  # before anything is sealed with it
        finally:
            os.close(file)
        rename(begun, path)


def rename(file: Path, path: Path) -> None:
    """Put the file at this path, for good on the disk when it returns. Raises ``OSError``."""
    file.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)  # else a power cut could leave what was sealed, and no key
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # of a file system that has no such thing
            raise
    finally:
        os.close(directory)


def next_key(path: Path) -> Path:
    """Where the key lies that is to follow the one at ``path``."""
    path = path.resolve()
    return path.with_name(f"{path.name}.next")


def key_path(store: Path, key_file: Path | None) -> Path:
    """Where the key of the store at ``store`` is."""
    return (key_file or store.with_name(f"{store.name}.secret")).absolute()


def opened_vault(path: Path, *, sealed: Path | None) -> Vault:
    """The vault with the key in this file, which is made if there is none and no store was ``sealed`` with it.

    Raises ``ConfigError``.
    """
    try:
        with path.open("rb") as file:
            text = file.read(KEY_BYTES * 4)
            mode = os.fstat(file.fileno()).st_mode
    except FileNotFoundError:
        if sealed is not None:
            problem = f"is not there, and {sealed} was sealed with the key in it; put it back. {_anew(sealed)}"
            raise _unusable(path, problem) from None
        return _made(path)
    except OSError as exc:
        raise _unusable(path, unreadable(exc)) from None
    if mode & stat.S_IROTH:
        log.warning("everybody on this machine can read the store's key", path=str(path))
    try:
        key = bytes.fromhex(text.decode().strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise _unusable(path, "holds no key, which is 64 hexadecimal digits (`openssl rand -hex 32` makes one)")
    return Vault(key)


def vault_of(places: Mapping[str, str], path: Path, store: Path) -> Vault:
    """The vault that opens what stands at these places of the store, as far as it is sealed. Raises ``ConfigError``."""
    sealed = {place: value for place, value in places.items() if is_sealed(value)}
    vault = opened_vault(path, sealed=store if sealed else None)
    if sealed and not any(vault.opens(value, place) for place, value in sealed.items()):
        if (following := next_key(path)).exists():
            vault = opened_vault(following, sealed=store)
            if any(vault.opens(value, place) for place, value in sealed.items()):
                _take(following, path)
                return vault
        raise _unusable(
            path, f"holds a different key from the one that sealed {store}; put that one back. {_anew(store)}"
        )
    return vault


def is_sealed(value: str) -> bool:
    """Whether it was made by a vault, whichever."""
    return value.startswith(MARK)


def _take(following: Path, path: Path) -> None:
    """Put the key that all is sealed with in the place of the former: whoever changed it was ended before that."""
    try:
        rename(following, path.resolve())
    except OSError as exc:
        raise _unusable(path, f"cannot be replaced by {following.name}: {exc.strerror}") from None
    log.warning("the store's new key was in place except for its name; it now has that, too", path=str(path))


def _made(path: Path) -> Vault:
    vault = Vault(os.urandom(KEY_BYTES))
    try:
        vault.write(path)
    except OSError as exc:
        raise refused(exc.errno, f"{path} cannot be written: {exc.strerror}", key="store.key_file") from None
    return vault


def _anew(store: Path) -> str:
    return (
        f"If it is gone for good, so are the cameras that were added at run time, and nothing else: move {store} away, "
        f"with {store.name}-wal if there is one, start again, and add them again"
    )


def _unusable(path: Path, problem: str) -> ConfigError:
    return ConfigError(f"{path} {problem}", key="store.key_file")
