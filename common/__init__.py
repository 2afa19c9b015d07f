"""The words both sides speak: media and control messages, the bus, configuration, errors, logs."""

__version__ = "0.1.0"

PREFIX = __name__.removesuffix("common")
"""Before the dotted name of a service's module: ``camshaft.`` in an installation, nothing in the repository."""
