"""The knowledge of one viewer's path: its capacity and quality, whether it is stuck, how long its player waits."""
