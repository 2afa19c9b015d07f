// A WHEP viewer by werift, WebRTC in TypeScript. Arguments: the address, and the number of pictures (of one RTP timestamp
// each) after which it hangs up. Prints a line of JSON: pictures, packets of each kind, and packets whose number was missing.

import { RTCPeerConnection, RTCRtpCodecParameters } from "werift";

const [url, pictures] = process.argv.slice(2);
const feedback = ["nack", "nack pli", "goog-remb"].map((each) => {
  const [type, parameter] = each.split(" ");
  return { type, parameter };
});
const pc = new RTCPeerConnection({
  iceServers: [],
  codecs: {
    video: [
      new RTCRtpCodecParameters({
        mimeType: "video/H264",
        clockRate: 90000,
        parameters: "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1",
        rtcpFeedback: feedback,
      }),
    ],
    audio: [new RTCRtpCodecParameters({ mimeType: "audio/opus", clockRate: 48000, channels: 2 })],
  },
});
const seen = { pictures: 0, video: 0, audio: 0, missing: 0 };
let [first, timestamp] = [null, null];
const places = new Set(); // of packets after the first, which may be repeated, or overtake each other
const enough = new Promise((resolve) => {
  pc.onTrack.subscribe((track) =>
    track.onReceiveRtp.subscribe(({ header }) => {
      seen[track.kind] += 1;
      if (track.kind !== "video") return;
      first ??= header.sequenceNumber;
      places.add((header.sequenceNumber - first) & 0xffff);
      if (header.timestamp !== timestamp) seen.pictures += 1;
      timestamp = header.timestamp;
      if (seen.pictures >= Number(pictures)) resolve();
    }),
  );
});
for (const kind of ["video", "audio"]) pc.addTransceiver(kind, { direction: "recvonly" });
await pc.setLocalDescription(await pc.createOffer());
const response = await fetch(url, {
  method: "POST",
  headers: { "Content-Type": "application/sdp" },
  body: pc.localDescription.sdp,
});
if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
await pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
await enough;
await fetch(new URL(response.headers.get("Location"), url), { method: "DELETE" });
const after = [...places].filter((place) => place < 0x8000);
seen.missing = Math.max(...after) + 1 - after.length;
console.log(JSON.stringify(seen));
process.exit();
