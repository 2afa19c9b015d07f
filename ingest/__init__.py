"""Ingest: pull each camera once by RTSP, turn what it sends into clean RTP, publish it."""
