"""Session descriptions of many makers, in their shape, and lines as cameras misspell them: what is played of each."""

from __future__ import annotations

import pytest

from ingest import sdp
from ingest.payload.registry import NothingPlayableError, choose
from ingest.rtsp.url import RtspUrl, resolve_base, resolve_control

SPROP = "Z0IAKeKQFAe2AtwEBAaQeJEV,aM48gA=="
H264 = f"packetization-mode=1;profile-level-id=420029;sprop-parameter-sets={SPROP}"
AAC = "streamtype=5;profile-level-id=15;mode=AAC-hbr;config=1408;SizeLength=13;IndexLength=3;IndexDeltaLength=3"
VIDEO = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
URL = RtspUrl.parse("rtsp://user:pass@10.0.0.5:8554/live?x=1")

MAKERS = {
    "Hikvision": (
        "v=0\no=- 1714557123412345 1714557123412345 IN IP4 192.168.1.64\ns=Media Presentation\ne=NONE\n"
        "b=AS:5050\nt=0 0\n"
        "a=control:rtsp://192.168.1.64/Streaming/Channels/101/\n"
        "m=video 0 RTP/AVP 96\nc=IN IP4 0.0.0.0\nb=AS:5000\na=recvonly\na=x-dimensions:1920,1080\n"
        "a=control:rtsp://192.168.1.64/Streaming/Channels/101/trackID=1\na=rtpmap:96 H264/90000\n"
        f"a=fmtp:96 {H264}\nm=audio 0 RTP/AVP 8\na=recvonly\n"
        "a=control:rtsp://192.168.1.64/Streaming/Channels/101/trackID=2\na=rtpmap:8 PCMA/8000\n"
        "m=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata/90000\n"
        "a=Media_header:MEDIAINFO=494D4B48010200000400000111710110401F000000FA00000000;\na=appversion:1.0\n",
        ["H264", "PCMA"],
        ["/Streaming/Channels/101/trackID=1", "/Streaming/Channels/101/trackID=2"],
    ),
    "Hikvision's media server, which numbers its fmtp otherwise": (
        "v=0\no=- 1109162014219182 0 IN IP4 0.0.0.0\ns=HIK Media Server V5.03.010\nt=0 0\na=control:*\n"
        "m=video 0 RTP/AVP 96\ni=Video Media\na=control:trackID=video\na=rtpmap:96 H264/90000\n"
        "a=fmtp:96 profile-level-id=4D0014;packetization-mode=0\nm=audio 0 RTP/AVP 104\na=control:trackID=audio\n"
        f"a=rtpmap:104 MPEG4-GENERIC/16000\na=fmtp:97 {AAC}\n",
        ["H264", "AAC"],
        ["/live?x=1/trackID=video", "/live?x=1/trackID=audio"],
    ),
    "Dahua with H.265, AAC and a back channel of twenty formats": (
        "v=0\no=- 2252316233 2252316233 IN IP4 0.0.0.0\ns=RTSP Session/2.0\nc=IN IP4 0.0.0.0\nt=0 0\na=control:*\n"
        "a=packetization-supported:DH\na=rtppayload-supported:DH\na=range:npt=now-\n"
        "m=video 0 RTP/AVP 98\na=control:trackID=0\na=framerate:25.000000\na=rtpmap:98 H265/90000\n"
        "a=fmtp:98 profile-id=1\n"
        f"a=recvonly\nm=audio 0 RTP/AVP 97\na=control:trackID=1\na=rtpmap:97 MPEG4-GENERIC/16000\n"
        f"a=fmtp:97 {AAC};Profile=1;\n"
        "a=recvonly\nm=application 0 RTP/AVP 107\na=control:trackID=4\na=rtpmap:107 vnd.onvif.metadata/90000\n"
        "a=recvonly\n"
        "m=audio 0 RTP/AVP 116 115 114 113 112 111 110 109 108 97 107 106 105 104 0 103 102 101 100 8\n"
        "a=control:trackID=5\n"
        "a=rtpmap:116 MPEG4-GENERIC/64000\na=sendonly\n",
        ["H265", "AAC"],
        ["/live?x=1/trackID=0", "/live?x=1/trackID=1"],
    ),
    "live555 (Reolink, Foscam, Amcrest)": (
        'v=0\no=- 1588253523558187 1 IN IP4 192.168.1.10\ns=Session streamed by "preview"\n'
        'i=h264Preview_01_main\nt=0 0\n'
        "a=tool:LIVE555 Streaming Media v2013.04.08\na=type:broadcast\na=control:*\na=range:npt=0-\n"
        'a=x-qt-text-nam:Session streamed by "preview"\nm=video 0 RTP/AVP 96\nc=IN IP4 0.0.0.0\nb=AS:500\n'
        'a=rtpmap:96 H264/90000\n'
        f"a=range:npt=0-\na=fmtp:96 {H264}\na=control:track1\nm=audio 0 RTP/AVP 97\nb=AS:256\n"
        f"a=rtpmap:97 MPEG4-GENERIC/16000\na=fmtp:97 {AAC}\na=control:track2\n",
        ["H264", "AAC"],
        ["/live?x=1/track1", "/live?x=1/track2"],
    ),
    "Axis, whose controls hold a query": (
        "v=0\no=- 5227450134587204424 1 IN IP4 192.168.0.90\ns=Session streamed with GStreamer\ni=rtsp-server\n"
        "t=0 0\n"
        "a=control:rtsp://192.168.0.90:554/axis-media/media.amp?videocodec=h264\nm=video 0 RTP/AVP 96\nb=AS:50000\n"
        f"a=rtpmap:96 H264/90000\na=fmtp:96 {H264}\na=ts-refclk:local\na=mediaclk:sender\na=recvonly\n"
        "a=control:rtsp://192.168.0.90:554/axis-media/media.amp/stream=0?videocodec=h264\na=framerate:30.000000\n"
        "a=transform:1.000000,0.000000,0.000000;0.000000,1.000000,0.000000;0.000000,0.000000,1.000000\n",
        ["H264"],
        ["/axis-media/media.amp/stream=0?videocodec=h264"],
    ),
    "Uniview with half an address": (
        "v=0\no=- 1001 1 IN\ns=VCP IPC Realtime stream\nm=video 0 RTP/AVP 105\nc=IN \n"
        f"a=control:rtsp://192.168.0.60/media/video1/video\na=rtpmap:105 H264/90000\na=fmtp:105 {H264}\na=recvonly\n"
        "m=application 0 RTP/AVP 107\nc=IN\na=control:rtsp://192.168.0.60/media/video1/metadata\n"
        "a=rtpmap:107 vnd.onvif.metadata/90000\na=fmtp:107 DecoderTag=h3c-v3 RTCP=0\na=recvonly\n",
        ["H264"],
        ["/media/video1/video"],
    ),
    "Tapo": (
        'v=0\no=- 14665860 31787219 1 IN IP4 192.168.1.30\ns=Session streamed by "TP-LINK RTSP Server"\nt=0 0\n'
        "a=smart_encoder:virtualIFrame=1\nm=video 0 RTP/AVP 96\nc=IN IP4 0.0.0.0\nb=AS:4096\na=range:npt=0-\n"
        "a=control:track1\n"
        f"a=rtpmap:96 H264/90000\na=fmtp:96 {H264}\nm=audio 0 RTP/AVP 8\na=rtpmap:8 PCMA/8000\na=control:track2\n"
        "m=application/TP-LINK 0 RTP/AVP smart/1/90000\na=rtpmap:95 TP-LINK/90000\na=control:track3\n",
        ["H264", "PCMA"],
        ["/live?x=1/track1", "/live?x=1/track2"],
    ),
    "Bosch, with payload type 35 and a query for a path": (
        "v=0\no=- 0 0 IN IP4 192.168.0.1\ns=LIVE VIEW\nc=IN IP4 0.0.0.0\nt=0 0\n"
        "a=control:rtsp://192.168.0.1/?inst=1/\n"
        f"m=video 0 RTP/AVP 35\na=rtpmap:35 H264/90000\na=control:rtsp://192.168.0.1/?inst=1/video\n"
        f"a=fmtp:35 {H264}\n"
        "m=audio 0 RTP/AVP 0\na=control:rtsp://192.168.0.1/?inst=1/audio\n",
        ["H264", "PCMU"],
        ["/?inst=1/video", "/?inst=1/audio"],
    ),
    "Hanwha with a back channel": (
        "v=0\no=- 0 0 IN IP4 192.168.1.100\ns=Media Server\nt=0 0\n"
        "a=control:rtsp://192.168.1.100/profile2/media.smp\n"
        "m=video 0 RTP/AVP 97\na=rtpmap:97 H264/90000\na=control:rtsp://192.168.1.100/profile2/media.smp/trackID=v\n"
        f"a=cliprect:0,0,1080,1920\na=framesize:97 1920-1080\na=fmtp:97 {H264}\nm=audio 0 RTP/AVP 0\n"
        f"a=rtpmap:0 PCMU/8000\n"
        "a=control:rtsp://192.168.1.100/profile2/media.smp/trackID=a\na=recvonly\nm=audio 0 RTP/AVP 0\n"
        "a=control:rtsp://192.168.1.100/profile2/media.smp/trackID=back\na=sendonly\n",
        ["H264", "PCMU"],
        ["/profile2/media.smp/trackID=v", "/profile2/media.smp/trackID=a"],
    ),
    "Vivotek with a bandwidth of 0": (
        "v=0\no=RTSP 1672531200 765 IN IP4 0.0.0.0\ns=RTSP server\nt=0 0\na=charset:Shift_JIS\na=control:*\n"
        "a=etag:12345\n"
        f"m=video 0 RTP/AVP 96\nb=AS:0\na=rtpmap:96 H264/90000\na=control:trackID=1\na=fmtp:96 {H264}\n"
        f"m=audio 0 RTP/AVP 97\na=control:trackID=3\na=rtpmap:97 mpeg4-generic/16000/1\n"
        f"a=fmtp:97 {AAC}; CTSDeltaLength=0;\n",
        ["H264", "AAC"],
        ["/live?x=1/trackID=1", "/live?x=1/trackID=3"],
    ),
    "Mobotix with Motion JPEG": (
        "v=0\ns=MOBOTIX\na=control:*\nm=video 0 RTP/AVP 26\na=rtpmap:26 JPEG/90000\na=control:stream=0\n"
        "m=audio 0 RTP/AVP 8\na=control:stream=1\n",
        ["JPEG", "PCMA"],
        ["/live?x=1/stream=0", "/live?x=1/stream=1"],
    ),
    "Wyze": (
        f"v=0\ns=wyze\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 {H264}\na=control:track1\n"
        "m=audio 0 RTP/AVP 97\nc=IN IP4 0.0.0.0\nb=AS:168\na=rtpmap:97 PCMU/16000\na=fmtp:97 \na=control:track2\n",
        ["H264", "PCMU"],
        ["/live?x=1/track1", "/live?x=1/track2"],
    ),
    "thingino": (
        "v=0\no=- 3894 1 IN IP4 192.168.1.9\ns=thingino prudynt\nt=0 0\na=control:*\nm=video 0 RTP/AVP 96\n"
        "a=rtpmap:96 H265/90000\na=fmtp:96 profile-space=0;profile-id=1;tier-flag=0;level-id=120\na=control:track1\n"
        "m=audio 0 RTP/AVP 97\na=rtpmap:97 OPUS/48000/2\na=fmtp:97 stereo=0;sprop-stereo=0\na=control:track2\n",
        ["H265", "opus"],
        ["/live?x=1/track1", "/live?x=1/track2"],
    ),
    "FFmpeg (DJI, GoPro by way of it)": (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=No Name\nt=0 0\na=tool:libavformat 58.29.100\nm=video 0 RTP/AVP 96\n"
        "b=AS:4000\n"
        "a=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1\na=control:streamid=0\nm=audio 0 RTP/AVP 97\n"
        "a=rtpmap:97 MPEG4-GENERIC/44100/2\na=control:streamid=1\n"
        "a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; config=121056E500\n",
        ["H264", "AAC"],
        ["/live?x=1/streamid=0", "/live?x=1/streamid=1"],
    ),
    "MediaMTX": (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=No Name\nt=0 0\nm=video 0 RTP/AVP 96\n"
        f"a=control:rtsp://10.0.0.5:8554/live/trackID=0\na=rtpmap:96 H264/90000\na=fmtp:96 {H264}\n"
        f"m=audio 0 RTP/AVP 111\n"
        "a=control:rtsp://10.0.0.5:8554/live/trackID=1\na=rtpmap:111 opus/48000/2\na=fmtp:111 sprop-stereo=0\n",
        ["H264", "opus"],
        ["/live/trackID=0", "/live/trackID=1"],
    ),
    "go2rtc": (
        f"v=0\no=- 1 1 IN IP4 0.0.0.0\ns=go2rtc/1.9.9\nt=0 0\n{VIDEO}a=fmtp:96 {H264}\na=recvonly\n"
        f"a=control:trackID=0\n"
        "m=audio 0 RTP/AVP 97\na=rtpmap:97 PCMA/8000\na=recvonly\na=control:trackID=1\n",
        ["H264", "PCMA"],
        ["/live?x=1/trackID=0", "/live?x=1/trackID=1"],
    ),
    "VLC, with sound first": (
        "v=0\no=- 15347982712387 15347982712387 IN IP4 host\ns=Unnamed\ni=N/A\nt=0 0\na=tool:vlc 3.0.18\na=recvonly\n"
        "a=control:rtsp://10.0.0.5:8554/live\nm=audio 0 RTP/AVP 14\nb=AS:128\nb=RR:0\na=rtpmap:14 MPA/90000/2\n"
        f"a=control:rtsp://10.0.0.5:8554/live/trackID=0\n{VIDEO}b=RR:0\na=fmtp:96 {H264};\n"
        "a=control:rtsp://10.0.0.5:8554/live/trackID=1\n",
        ["H264", "MPA"],
        ["/live/trackID=1", "/live/trackID=0"],
    ),
    "gst-rtsp-server": (
        "v=0\no=- 11694212 1 IN IP4 127.0.0.1\ns=Session streamed with GStreamer\nt=0 0\na=tool:GStreamer\n"
        "a=control:*\n"
        f"{VIDEO}a=framerate:30\na=fmtp:96 {H264}\na=control:stream=0\na=ssrc:2345678 cname:user@host\n"
        "m=audio 0 RTP/AVP 97\na=rtpmap:97 OPUS/48000/2\na=fmtp:97 sprop-maxcapturerate=48000;sprop-stereo=0\n"
        "a=control:stream=1\n",
        ["H264", "opus"],
        ["/live?x=1/stream=0", "/live?x=1/stream=1"],
    ),
    "Tuya, with bytes of memory for addresses": (
        f"v=0\no=- 0 0 IN IP4 '&\xef\xbf\ns=x\nt=0 0\nm=video -1353744643 RTP/AVP 96\nc=IN IP4 '&\xef\xbf\n"
        f"a=rtpmap:96 H264/90000\na=fmtp:96 {H264}\na=control:trackID=0\n",
        ["H264"],
        ["/live?x=1/trackID=0"],
    ),
    "three lines and no more": (
        "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:trackID=0\n", ["H264"], ["/live?x=1/trackID=0"],
    ),
}  # fmt: skip


def played(text: str) -> list[str]:
    """The codecs of what is played; the reasons where nothing is."""
    try:
        return [choice.track.codec for choice in choose(sdp.parse(text.encode("latin-1")))[0]]
    except NothingPlayableError as exc:
        return [exc.detail]


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\r\r\n", "\n\n"], ids=repr)
@pytest.mark.parametrize("maker", MAKERS)
def test_what_is_played_of_a_maker_s_description_and_where_it_is_asked_for(maker: str, end: str) -> None:
    text, codecs, targets = MAKERS[maker]
    description = sdp.parse(text.replace("\n", end).encode("latin-1"))
    choices, _ = choose(description)
    base = resolve_base(URL, None, description.control)
    assert [choice.track.codec for choice in choices] == codecs
    assert [resolve_control(base, choice.section.control).target for choice in choices] == targets


@pytest.mark.parametrize(
    "line",
    [
        "m=video 5004/2 RTP/AVP 96",
        "m=Video 0 rtp/avp 96",
        "m=video 0 TCP/RTP/AVP 96",
        "m=video 0 RTP/AVP/TCP 96",
        "m=video 0 RTP/AVPF 96",
        "m=video 0 udp 96",
        "m=video 0 96",
        "m=video\t0\tRTP/AVP\t96",
        "m=video 0 RTP/AVP 96,97",
        "m=video 0 RTP/AVP 96 ",
        "m=video 0 RTP/AVP 26 96",
        "m=video 0 RTP/AVP 116 96",
        "m =video 0 RTP/AVP 96",
        "m= video 0 RTP/AVP 96",
        "  m=video 0 RTP/AVP 96",
        "M=video 0 RTP/AVP 96",
        "m=video 0 RTP/AVP",
        "m=video 0 RTP/AVP smart/1/90000",
        "m=video -1 RTP/AVP 96",
        "m=video 0 RTP/AVP 96\nb=AS:-1\nb=TIAS:x\nb=",
        "m=video 0 RTP/AVP 96\nc=IN c=IN IP4 0.0.0.0",
    ],
)
def test_a_picture_s_section_is_read_however_its_line_is_written(line: str) -> None:
    assert played(f"v=0\n{line}\na=rtpmap:96 H264/90000\n") == ["H264"]


@pytest.mark.parametrize(
    ("line", "codec"),
    [
        ("a=rtpmap: 96 H264/90000", "H264"),
        ("a=rtpmap:96\tH264/90000", "H264"),
        ("a=rtpmap:96 h264/90000", "H264"),
        ("a=RTPMAP:96 H264/90000", "H264"),
        ("a=rtpmap:96 H.264/90000", "H264"),
        ("a=rtpmap:96 X-H264/90000", "H264"),
        ("a=rtpmap:96 AVC/90000", "H264"),
        ("a=rtpmap:96 H264", "H264"),
        ("a=rtpmap:96 H264/0", "H264"),
        ("a=rtpmap:96 H264/abc", "H264"),
        ("a=rtpmap:96 H264/1000", "H264"),
        ("a=rtpmap:96 H264 / 90000", "H264"),
        ("a=rtpmap:96 H264/90000/1", "H264"),
        ("a=rtpmap:97 H264/90000", "H264"),
        ("a =rtpmap:96 H264/90000", "H264"),
        ("a= rtpmap:96 H264/90000", "H264"),
        ("a=rtpmap:96 HEVC/90000", "H265"),
        ("a=rtpmap:96 H.265/90000", "H265"),
        ("a=rtpmap:96 AV1X/90000", "AV1"),
        ("a=rtpmap:96 MJPEG/90000", "JPEG"),
        ("a=rtpmap:96 X-JPEG/90000", "JPEG"),
        ("a=fmtp:96 packetization-mode=1", "H264"),
    ],
)
def test_a_codec_is_known_however_its_line_is_written(line: str, codec: str) -> None:
    assert played(f"v=0\nm=video 0 RTP/AVP 96\n{line}\n") == [codec]


@pytest.mark.parametrize(
    "begin",
    ["96 ", "96\t", "96: ", "96  ", "96", "97 ", " ", "", "H264 ", " 96 "],
)
def test_parameters_of_the_only_format_are_found_whatever_stands_before_them(begin: str) -> None:
    [section] = sdp.parse(
        f"{VIDEO}a=fmtp:{begin}packetization-mode=1; sprop-parameter-sets = {SPROP} ;\n".encode()
    ).media
    assert section.formats[0].parameters == {"packetization-mode": "1", "sprop-parameter-sets": SPROP}


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("PCMU/8000/2", "PCMU"),
        ("PCMA/8000/0", "PCMA"),
        ("PCMU/90000", "PCMU"),
        ("PCMA/90000", "PCMA"),
        ("X-PCMU/8000", "PCMU"),
        ("pcmu/48000", "PCMU"),
        ("PCMU/44100/2", "PCMU"),
        ("G711U/8000", "PCMU"),
        ("G726-16/8000", "G726-16"),
        ("AAL2-G726-32/8000", "AAL2-G726-32"),
        ("L16/8000/1", "L16"),
        ("L24/48000", "L24"),
        ("AAC/16000", "AAC"),
        ("X-AAC/16000", "AAC"),
        ("mpeg4-generic/48000/2", "AAC"),
        ("MP4A-LATM/16000", "AAC"),
        ("OPUS/48000", "opus"),
        ("opus/16000/1", "opus"),
        ("G722/16000", "G722"),
    ],
)
def test_sound_is_known_however_it_is_written(name: str, codec: str) -> None:
    assert played(f"v=0\nm=audio 0 RTP/AVP 97\na=rtpmap:97 {name}\n") == [codec]
