"""An RTSP server made of GStreamer: run by the system's python3, which has ``gi``; nothing else is imported.

Started with one argument, a JSON object of ``OPTIONS``. Writes ``{"port": N}`` as its first line to standard output,
then serves until standard input ends, so that it never outlives its parent. Each line on standard input is the
path of another clip to go on with from the next access unit: a camera that changes its resolution in mid-stream.

Video is never encoded here. Access units are read once and handed to the payloader when they are due, so a 1080p30
camera costs a few percent of a core. Sound is a beep at the start of each second.
"""

import array
import json
import math
import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

OPTIONS = {
    "clip": "",  # path of an Annex-B file whose access units begin with delimiters
    "fps": 30,
    "audio": "opus",  # opus, pcmu, pcma, aac or ""
    "path": "/cam",
    "address": "127.0.0.1",
    "port": 0,
    "transports": ["tcp", "udp"],
    "mtu": 1400,  # bytes of an RTP packet
    "user": "",  # empty: no authentication
    "password": "",
    "auth": "digest",  # digest or basic
    "encrypted": False,  # SRTP, with keys by MIKEY
}

AUDIO = {  # sample rate in Hz, encoder and payloader
    "opus": (48_000, "opusenc complexity=0 bitrate=32000 ! rtpopuspay"),
    "pcmu": (8_000, "mulawenc ! rtppcmupay"),
    "pcma": (8_000, "alawenc ! rtppcmapay"),
    "aac": (48_000, "voaacenc ! rtpmp4gpay"),
}
BLOCKS = 50  # audio buffers a second


def access_units(path):
    """The clip as one buffer for each access unit."""
    delimiter = b"\0\0\0\1\x09"
    return [Gst.Buffer.new_wrapped(delimiter + unit) for unit in Path(path).read_bytes().split(delimiter)[1:]]


def beeps(rate):
    """One second of 16 bit samples with 100 ms of 1 kHz at its start, in BLOCKS buffers."""
    second = array.array("h", (int(8000 * math.sin(math.tau * 1000 * i / rate)) for i in range(rate // 10)))
    second.extend([0] * (rate - len(second)))
    block = rate // BLOCKS
    return [Gst.Buffer.new_wrapped(second[i : i + block].tobytes()) for i in range(0, rate, block)]


class Track:
    """A loop of buffers, ``rate`` of them a second, that one appsrc of every new pipeline is fed with."""

    def __init__(self, name, buffers, rate):
        self.name, self.buffers, self.rate, self.index = name, buffers, rate, 0

    def feed(self, media):
        """Push each buffer when it is due, until the pipeline is gone."""
        source = media.get_element().get_by_name_recurse_up(self.name)
        duration = Gst.SECOND // self.rate
        sent, offset, over = 0, None, False  # offset: running time of the first buffer
        self.index = 0

        def end(_media):
            nonlocal over
            over = True

        def push():
            nonlocal sent, offset
            if over:
                return GLib.SOURCE_REMOVE
            if source.get_state(0).state != Gst.State.PLAYING:  # its clock may be there, but its base time not yet
                return GLib.SOURCE_CONTINUE
            now = source.get_clock().get_time() - source.get_base_time()
            if offset is None:
                offset = now
            while offset + sent * duration <= now:  # as many as are due: a late timer must not slow the camera down
                buffer = self.buffers[self.index % len(self.buffers)]
                buffer = buffer.copy_region(Gst.BufferCopyFlags.MEMORY, 0, buffer.get_size())  # shares the bytes
                buffer.pts = buffer.dts = offset + sent * duration
                buffer.duration = duration
                if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                    return GLib.SOURCE_REMOVE
                self.index += 1
                sent += 1
            GLib.timeout_add(max(1, (offset + sent * duration - now) // Gst.MSECOND), push)
            return GLib.SOURCE_REMOVE

        media.connect("unprepared", end)
        GLib.timeout_add(5, push)


def pipeline(options):
    """The launch line of the media factory."""
    source = "appsrc is-live=true format=time max-bytes=20000000"
    line = (
        f"{source} name=video caps=video/x-h264,stream-format=byte-stream,alignment=au,framerate={options['fps']}/1 "
        f"! h264parse ! rtph264pay name=pay0 pt=96 mtu={options['mtu']} aggregate-mode=zero-latency"
    )
    if options["audio"]:
        rate, encoder = AUDIO[options["audio"]]
        caps = f"audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate={rate}"
        line += f" {source} name=audio caps={caps} ! {encoder} name=pay1 pt=97 mtu={options['mtu']}"
    return f"( {line} )"


def protect(server, factory, options):
    """Let in only the one user."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    if options["auth"] == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(options["user"], options["password"], token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(options["user"], options["password"]), token)
    server.set_auth(auth)
    role = Gst.Structure.new_from_string("user,media.factory.access=true,media.factory.construct=true")
    factory.add_role_from_structure(role)


def main():
    """Serve until standard input ends."""
    options = {**OPTIONS, **json.loads(sys.argv[1])}
    Gst.init(None)
    loop = GLib.MainLoop()
    video = Track("video", access_units(options["clip"]), options["fps"])
    tracks = [video]
    if options["audio"]:
        tracks.append(Track("audio", beeps(AUDIO[options["audio"]][0]), BLOCKS))

    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(pipeline(options))
    factory.set_shared(True)
    factory.set_latency(0)
    allowed = GstRtsp.RTSPLowerTrans(0)
    for name in options["transports"]:
        allowed |= getattr(GstRtsp.RTSPLowerTrans, name.upper())
    factory.set_protocols(allowed)
    if options["encrypted"]:
        factory.set_profiles(GstRtsp.RTSPProfile.SAVP)
    factory.connect("media-configure", lambda _factory, media: [track.feed(media) for track in tracks])

    server = GstRtspServer.RTSPServer()
    server.set_address(options["address"])
    server.set_service(str(options["port"]))
    server.get_mount_points().add_factory(options["path"], factory)
    if options["user"]:
        protect(server, factory, options)
    if not server.attach(None):
        sys.exit(f"cannot listen on {options['address']}:{options['port']}")

    def command(_channel, _condition):
        line = sys.stdin.readline()
        if not line:
            loop.quit()
            return GLib.SOURCE_REMOVE
        video.buffers, video.index = access_units(line.strip()), 0
        return GLib.SOURCE_CONTINUE

    standard_input = GLib.IOChannel.unix_new(0)
    GLib.io_add_watch(standard_input, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP, command)
    print(json.dumps({"port": server.get_bound_port()}), flush=True)
    loop.run()


main()
