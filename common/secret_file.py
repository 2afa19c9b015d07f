"""Settings that a file holds, as Docker and Kubernetes mount them: ``CAMSHAFT_CLUSTER_SECRET_FILE=/run/secrets/x``."""

from __future__ import annotations

from pathlib import Path

from common.errors import ConfigError, unreadable

MAX_BYTES = 64 << 10  # some hundred cameras; what is larger is another file


def read_secret(path: Path, variable: str) -> str:
    """The text without the newline that an editor leaves at its end. Raises ``ConfigError`` that names ``variable``."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode().rstrip("\r\n")
    except OSError as exc:
        raise ConfigError(f"{path} {unreadable(exc)}", where=variable) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", where=variable) from None
    except ValueError:  # a zero byte in the path
        raise ConfigError("is not the path of a file", where=variable) from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} holds more than {MAX_BYTES >> 10} kB; is it the right file?", where=variable)
    if not text.strip():
        raise ConfigError(f"{path} is empty", where=variable)
    return text
