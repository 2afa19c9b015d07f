"""The words both sides speak: media and control messages, the bus, configuration, errors, logs."""
