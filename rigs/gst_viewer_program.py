"""A WHEP viewer that nobody here wrote, GStreamer's ``webrtcbin``: run by the system's python3, which has ``gi``.

Arguments: the address to offer to, the codec's encoding name with what else its format says, and the elements that
decode it. Offers that codec alone, writes a line of JSON for each picture that was decoded (its number, width, height)
or each tenth of a second of sound (its number, the rate of its samples, the frequency of its tone), and ends with its
standard input.
"""

import json
import sys
import threading
import urllib.request
from array import array
from itertools import pairwise

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402


class Viewer:
    def __init__(self, url, codec, decoder):
        self.url, self.decoder = url, decoder
        self.shown = 0
        self.samples = array("h")
        self.pipeline = Gst.Pipeline.new()
        self.peer = Gst.ElementFactory.make("webrtcbin")
        self.peer.set_property("bundle-policy", "max-bundle")
        self.pipeline.add(self.peer)
        self.peer.connect("pad-added", self.on_pad)
        self.peer.connect("notify::ice-gathering-state", self.on_gathering)
        caps = Gst.Caps.from_string(f"application/x-rtp,encoding-name={codec},payload=96")
        self.peer.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, caps)
        self.pipeline.set_state(Gst.State.PLAYING)
        promise = Gst.Promise.new_with_change_func(self.on_offer, None)
        self.peer.emit("create-offer", None, promise)

    def on_offer(self, promise, _):
        self.reply = promise.get_reply()  # the offer lives in it
        offer = self.reply.get_value("offer")
        self.peer.emit("set-local-description", offer, Gst.Promise.new())

    def on_gathering(self, *_):
        complete = GstWebRTC.WebRTCICEGatheringState.COMPLETE
        if self.peer.get_property("ice-gathering-state") == complete:
            threading.Thread(target=self.ask, daemon=True).start()

    def ask(self):
        sdp = self.peer.get_property("local-description").sdp.as_text()
        request = urllib.request.Request(self.url, sdp.encode(), {"Content-Type": "application/sdp"})
        with urllib.request.urlopen(request) as response:
            text = response.read()
        _, message = GstSdp.SDPMessage.new()
        GstSdp.sdp_message_parse_buffer(text, message)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self.peer.emit("set-remote-description", answer, Gst.Promise.new())

    def on_pad(self, _, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        tail = Gst.parse_bin_from_description(f"queue ! {self.decoder} ! fakesink name=screen sync=false", True)
        self.pipeline.add(tail)
        tail.sync_state_with_parent()
        pad.link(tail.get_static_pad("sink"))
        screen = tail.get_by_name("screen")
        screen.set_property("signal-handoffs", True)
        screen.connect("handoff", self.on_media)

    def on_media(self, _sink, buffer, pad):
        shape = pad.get_current_caps().get_structure(0)
        if shape.get_name() == "audio/x-raw":
            self.on_sound(buffer, shape.get_int("rate")[1])
        else:
            self.tell(shape.get_int("width")[1], shape.get_int("height")[1])

    def on_sound(self, buffer, rate):
        self.samples.frombytes(buffer.extract_dup(0, buffer.get_size()))
        while len(self.samples) >= rate // 10:
            heard, self.samples = self.samples[: rate // 10], self.samples[rate // 10 :]
            self.tell(rate, 5 * sum((one < 0) != (next_ < 0) for one, next_ in pairwise(heard)))

    def tell(self, *facts):
        print(json.dumps([self.shown, *facts]), flush=True)
        self.shown += 1


def main(url, codec, decoder):
    Gst.init(None)
    viewer = Viewer(url, codec, decoder)
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()
    viewer.pipeline.set_state(Gst.State.NULL)


main(*sys.argv[1:])
