"""What a worker of any kind is made of: membership in the cluster, the link to the broker, both ends of the media bus.

The broker is no worker and uses none of it.
"""
