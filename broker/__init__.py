"""Broker: relay of the media, control plane of the cluster, and front door for people."""
