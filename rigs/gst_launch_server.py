"""An RTSP server of GStreamer pipelines: run by the system's python3, which has ``gi``; nothing else is imported.

Each argument is the text of a pipeline, served at ``/0``, ``/1`` and so on. Writes the port as its first line to
standard output, then serves until standard input ends, so that it never outlives whoever started it.
"""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main(pipelines):
    Gst.init(None)
    loop = GLib.MainLoop()
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service="0")
    for number, pipeline in enumerate(pipelines):
        factory = GstRtspServer.RTSPMediaFactory(launch=f"( {pipeline} )", shared=True)
        server.get_mount_points().add_factory(f"/{number}", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


main(sys.argv[1:])
