"""The words both sides speak: media and control messages, the bus, configuration, errors, logs."""

__version__ = "0.1.0"
