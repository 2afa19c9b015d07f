"""How a setting ``section.key`` is called as a variable and as an option, and which settings are secret.

Imports nothing: ``camshaft.argv`` hides secrets before there is time to import more.
"""

from __future__ import annotations

ENV_PREFIX = "CAMSHAFT_"
SECRETS = (
    ("http", "ice_servers"),
    ("http", "turn_secret"),
    ("jwt", "secret"),
    ("oidc", "client_secret"),
    ("cluster", "secret"),
    ("cluster", "token"),
)
"""Settings whose values must not stand on a command line, where every user of the machine can read them."""

WORDS = {"auth": "mode"}
"""Sections that may be a word, and the key that it is for: ``auth: none``, ``CAMSHAFT_AUTH=none``, ``--auth none``."""

LIVE = (
    *("cameras", "http.hosts", "http.ice_servers", "http.turn_secret", "http.turn_hours"),
    *("limits", "log.level", "sources"),
    *("auth.mode", "auth.tokens", "auth.groups", "auth.session_hours"),
)
"""Settings that take effect while a process runs; a section stands for all of its keys. Others wait for a restart."""


def variable_of(section: str, key: str) -> str:
    """A setting's environment variable."""
    return f"{ENV_PREFIX}{section}_{key}".upper()


def in_file(variable: str) -> str:
    """The variable that names a file which holds what ``variable`` would."""
    return f"{variable}_FILE"


def option_of(section: str, key: str) -> str:
    """A setting's command line option."""
    return f"--{section}-{key}".replace("_", "-")


def word_of(section: str, key: str) -> str:
    """The word that stands for section and key in variables and options; empty if none does."""
    return section if WORDS.get(section) == key else ""
