"""Transcode: turn what browsers cannot play into H.264 and Opus, once for each camera, while somebody watches."""
