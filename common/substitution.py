"""``${NAME}`` and ``${NAME:-default}`` in the values of the configuration file; no I/O.

As in a compose file, ``$$`` is a dollar sign. One that neither ``$`` nor ``{`` follows is itself. A variable that is
empty counts as one that is not set. What a variable holds is not looked through again: no value names more variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLACE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<brace>\{)(?:(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^{}]*))?\})?)", re.ASCII
)


def substituted(text: str, environ: Mapping[str, str]) -> str:
    """``text`` with the values of the variables that it names.

    Raises ``ValueError`` for a variable that is not set and has no default, and for a ``${`` that names none.
    """

    def value(place: re.Match[str]) -> str:
        if place["dollar"]:
            return "$"
        name, default = place["name"], place["default"]
        if name is None:
            raise ValueError("holds ${ without ${NAME} or ${NAME:-default}; for a dollar sign as it is, write $$")
        found = environ.get(name, "")
        if not found and default is None:
            raise ValueError(f"the variable {name} is not set; set it, or give a default: ${{{name}:-...}}")
        return found or str(default).replace("$$", "$")

    return _PLACE.sub(value, text) if "$" in text else text
