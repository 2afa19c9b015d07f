"""The reason why a viewer has no picture: what is known of its session from all who see a part of it, and a verdict."""
