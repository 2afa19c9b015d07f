"""The media relay in a process of its own: pictures do not pass the front door."""
