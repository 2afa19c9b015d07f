"""Quotations: a camera's own words in sentences of ours."""


def quoted(text: str) -> str:
    """A camera's own words, cut and cleaned for a log line or an API answer."""
    return "".join(c if c.isprintable() else "?" for c in text[:80])
