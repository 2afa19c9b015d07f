"""Composition root: command line, supervisor, and the simulated camera."""

from common import __version__

__all__ = ["__version__"]
