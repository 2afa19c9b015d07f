// A WHEP viewer by libdatachannel, as OBS's WHEP source is one: sound first, H.264 as 96, sent before any candidate is known, and
// none afterwards. Arguments: the address, and the number of pictures (of one RTP timestamp each) after which it hangs up.
// Prints a line of JSON: pictures, packets of each kind, and packets whose number was missing.

import datachannel from "node-datachannel";

const { Audio, PeerConnection, RtcpReceivingSession, Video } = datachannel;
const [url, pictures] = process.argv.slice(2);
const pc = new PeerConnection("viewer", { iceServers: [] });
const seen = { pictures: 0, video: 0, audio: 0, missing: 0 };
let [next, timestamp] = [null, null];
let done;
const enough = new Promise((resolve) => (done = resolve));
const described = new Promise((resolve) => pc.onLocalDescription((sdp) => resolve(sdp)));

const sound = new Audio("0", "RecvOnly");
sound.addOpusCodec(111);
const audio = pc.addTrack(sound);
audio.setMediaHandler(new RtcpReceivingSession());
audio.onMessage(() => (seen.audio += 1));

const picture = new Video("1", "RecvOnly");
picture.addH264Codec(96);
const video = pc.addTrack(picture);
video.setMediaHandler(new RtcpReceivingSession());
video.onMessage((packet) => {
  const [number, time] = [packet.readUInt16BE(2), packet.readUInt32BE(4)];
  if (next !== null) seen.missing += (number - next) & 0xffff;
  next = (number + 1) & 0xffff;
  seen.video += 1;
  if (time !== timestamp) seen.pictures += 1;
  timestamp = time;
  if (seen.pictures >= Number(pictures)) done();
});

pc.setLocalDescription();
const response = await fetch(url, {
  method: "POST",
  headers: { "Content-Type": "application/sdp" },
  body: await described,
});
if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
pc.setRemoteDescription(await response.text(), "answer");
await enough;
await fetch(new URL(response.headers.get("Location"), url), { method: "DELETE" });
console.log(JSON.stringify(seen));
process.exit();
