"""Configuration records of containers, as MP4 and FLV have them."""

SPS, PPS = b"\x67\x42\xe0\x1f\x01", b"\x68\xce"
AVC = b"\1\x42\xe0\x1f\xff\xe1" + b"\0\5" + SPS + b"\1" + b"\0\2" + PPS
SETS = {32: b"\x40\1v", 33: b"\x42\1s", 34: b"\x44\1p"}
HEVC = (
    b"\1"
    + bytes(20)
    + b"\x03\3"
    + b"".join(bytes((kind, 0, 1)) + len(unit).to_bytes(2, "big") + unit for kind, unit in SETS.items())
)
