"""RTP payloads on the bus: access units out of them, and batches made of them. Ingest and transcode use both."""
