"""YAML as the programs read it whose files people bring along, and as its second edition has it."""

from __future__ import annotations

import yaml

MAX_NUMBER = 1_000  # characters: Python itself reads no more than 4,300 digits

_ENDS = "\0 \t\r\n\x85\u2028\u2029,[]{}"


class Loader(yaml.SafeLoader):
    """Reads ``{url: rtsp://host/live?channel=1}``.

    YAML 1.2 7.3.3: a question mark inside of a text without quotes is one between brackets, too. PyYAML ends the text
    there, and then misses a comma.
    """

    def scan_plain(self) -> yaml.ScalarToken:
        """Read a text without quotes."""
        token = super().scan_plain()
        parts, end = [token.value], token.end_mark
        while self.flow_level and self.peek() == "?" and end.index == self.index:
            self.forward()
            parts.append("?")
            end = self.get_mark()
            if self.peek() not in _ENDS and self.peek() != "?":
                more = super().scan_plain()
                parts.append(more.value)
                end = more.end_mark
        return yaml.ScalarToken("".join(parts), True, token.start_mark, end)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Make a number. Raises ``ValueError`` for one that is longer than any.

        PyYAML takes ``1:30`` for ninety (YAML 1.1), and of ten thousand colons a number that takes minutes.
        """
        if len(node.value) > MAX_NUMBER:
            raise ValueError("a number is too long")
        return super().construct_yaml_int(node)


Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
