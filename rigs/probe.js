// Runs in every page before the page's own scripts: remembers each RTCPeerConnection and each frame that was shown, so
// that a test can look at any page, the product's or the bare viewers below, in the same way.
(() => {
  const KEPT_FRAMES = 4000;
  const [CODE_BITS, CODE_FIELDS] = [12, 16]; // see rigs/clip.py
  const connections = [];
  const videos = [];

  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...args) {
      super(...args);
      connections.push(this);
    }
  };

  const srcObject = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "srcObject");
  Object.defineProperty(HTMLMediaElement.prototype, "srcObject", {
    ...srcObject,
    set(stream) {
      srcObject.set.call(this, stream);
      if (stream && this instanceof HTMLVideoElement && !videos.includes(this)) follow(this);
    },
  });

  const src = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "src");
  Object.defineProperty(HTMLMediaElement.prototype, "src", {
    ...src,
    set(url) {
      src.set.call(this, url);
      if (url && this instanceof HTMLVideoElement && !videos.includes(this)) follow(this);
    },
  });

  function follow(video) {
    video.probeFrames = [];
    video.probeCount = 0;
    videos.push(video);
    const shown = (_now, frame) => {
      video.probeCount += 1;
      video.probeFrames.push([
        performance.timeOrigin + frame.presentationTime,
        frame.captureTime === undefined ? null : performance.timeOrigin + frame.captureTime,
        frame.receiveTime === undefined ? null : performance.timeOrigin + frame.receiveTime,
        frame.rtpTimestamp ?? null,
        frame.width,
        frame.height,
        frame.processingDuration ?? 0,
        probe.readsCodes ? code(video) : null,
      ]);
      if (video.probeFrames.length > KEPT_FRAMES) video.probeFrames.shift();
      if (probe.firstFrame === null) probe.firstFrame = frame.presentationTime;
      video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
  }

  const canvas = new OffscreenCanvas(CODE_BITS + 2, 1);
  const pencil = canvas.getContext("2d", { willReadFrequently: true });

  // The number in the corner of the picture, null if there is none.
  function code(video) {
    const side = video.videoWidth / CODE_FIELDS;
    pencil.drawImage(video, 0, side / 4, (CODE_BITS + 2) * side, side / 2, 0, 0, CODE_BITS + 2, 1);
    const pixels = pencil.getImageData(0, 0, CODE_BITS + 2, 1).data;
    const light = (field) => pixels[4 * field + 1];
    if (light(0) - light(1) < 96) return null;
    const middle = (light(0) + light(1)) / 2;
    let number = 0;
    for (let bit = 0; bit < CODE_BITS; bit++) if (light(bit + 2) > middle) number |= 1 << bit;
    return number;
  }

  async function report(connection) {
    const all = new Map();
    (await connection.getStats()).forEach((entry) => all.set(entry.id, entry));
    const pick = (test) => [...all.values()].find(test) ?? {};
    const inbound = (kind) => pick((s) => s.type === "inbound-rtp" && s.kind === kind);
    const [video, audio] = [inbound("video"), inbound("audio")];
    const transport = pick((s) => s.type === "transport");
    const pair = all.get(transport.selectedCandidatePairId) ?? {};
    return {
      video,
      audio,
      transport,
      pair,
      remote: all.get(pair.remoteCandidateId) ?? {},
      videoCodec: all.get(video.codecId)?.mimeType ?? "",
      audioCodec: all.get(audio.codecId)?.mimeType ?? "",
      state: connection.connectionState,
    };
  }

  const probe = (window.probe = {
    connections,
    videos,
    readsCodes: false, // whether to read the number of each shown frame, which costs a millisecond or two
    clicked: null, // performance.now() of the last click or start
    firstFrame: null, // of the first frame shown since then
    click() {
      probe.clicked = performance.now();
      probe.firstFrame = null;
    },
    shown: () => videos.reduce((sum, video) => sum + video.probeCount, 0),
    frames: () => videos.flatMap((video) => video.probeFrames),
    stats: () => Promise.all(connections.filter((c) => c.connectionState !== "closed").map(report)),
  });
  window.addEventListener("click", () => probe.click(), { capture: true });

  function receiver() {
    const connection = new RTCPeerConnection();
    const video = document.querySelector("video");
    const stream = new MediaStream();
    connection.ontrack = (event) => {
      stream.addTrack(event.track);
      video.srcObject = stream;
    };
    connection.addTransceiver("video", { direction: "recvonly" });
    connection.addTransceiver("audio", { direction: "recvonly" });
    return connection;
  }

  function gathered(connection) {
    return new Promise((resolve) => {
      if (connection.iceGatheringState === "complete") resolve();
      connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && resolve();
    });
  }

  // RFC 9725. Without trickling: all candidates in the offer if `gather`, else none, as an ICE-lite server needs none.
  probe.whep = async (url, { gather, rewrite }) => {
    probe.click();
    const connection = receiver();
    await connection.setLocalDescription();
    if (gather) await gathered(connection);
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: connection.localDescription.sdp,
    });
    const body = await response.text();
    if (response.status !== 201) throw new Error(`WHEP: ${response.status} ${body}`);
    const answer = rewrite ? await window.rewriteAnswer(body) : body;
    await connection.setRemoteDescription({ type: "answer", sdp: answer });
    probe.close = () => {
      connection.close();
      return fetch(new URL(response.headers.get("Location"), response.url), { method: "DELETE" }).then((r) => r.status);
    };
  };

  probe.websocket = (url, camera) =>
    new Promise((resolve, reject) => {
      probe.click();
      const socket = new WebSocket(url);
      const connection = receiver();
      let session = null;
      const send = (message) => socket.send(JSON.stringify(message));
      const waiting = [];
      connection.onicecandidate = ({ candidate }) => {
        const message = { type: "candidate", candidate: candidate?.candidate ?? "" };
        session ? send({ ...message, session }) : waiting.push(message);
      };
      socket.onopen = async () => {
        await connection.setLocalDescription();
        send({ type: "offer", camera, sdp: connection.localDescription.sdp });
      };
      socket.onmessage = async ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === "answer") {
          session = message.session;
          await connection.setRemoteDescription({ type: "answer", sdp: message.sdp });
          waiting.splice(0).forEach((candidate) => send({ ...candidate, session }));
          resolve();
        } else if (message.type === "candidate" && message.candidate) {
          await connection.addIceCandidate({ candidate: message.candidate, sdpMLineIndex: 0 });
        } else if (message.type === "error") {
          reject(new Error(`WebSocket: ${message.code} ${message.message}`));
        }
      };
      socket.onerror = () => reject(new Error(`WebSocket: cannot reach ${url}`));
      probe.close = () => {
        send({ type: "close", session });
        connection.close();
        socket.close();
      };
    });
})();
