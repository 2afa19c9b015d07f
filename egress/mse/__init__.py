"""Viewers that WebRTC does not reach: fragmented MP4 over the page's own connection, for Media Source Extensions."""
