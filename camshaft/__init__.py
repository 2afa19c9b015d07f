"""Composition root: command line, supervisor, and the simulated camera."""

__version__ = "0.1.0"
