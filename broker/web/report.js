// What this browser knows of a session whose picture does not come, for whoever looks after the server.

const PAIRS = 16; // as many as the server takes of each list

/** The message's fields, of an RTCPeerConnection; `errors` are those of its STUN and TURN servers. */
export async function reportOf(pc, errors) {
  const entries = new Map();
  (await pc.getStats()).forEach((entry) => entries.set(entry.id, entry));
  const all = [...entries.values()];
  const of = (type) => all.filter((entry) => entry.type === type);
  const named = (id) => nameOf(entries.get(id) ?? {});
  const video = of("inbound-rtp").filter((entry) => (entry.kind ?? entry.mediaType) === "video");
  const sum = (found, name) => Math.round(found.reduce((total, entry) => total + (entry[name] ?? 0), 0));
  return {
    state: pc.connectionState ?? pc.iceConnectionState,
    local: of("local-candidate").slice(0, PAIRS).map(nameOf),
    pairs: of("candidate-pair")
      .slice(0, PAIRS)
      .map((pair) => ({ local: named(pair.localCandidateId), remote: named(pair.remoteCandidateId), state: pair.state })),
    errors: errors.slice(0, PAIRS),
    bytes: sum(of("inbound-rtp"), "bytesReceived"),
    received: sum(video, "framesReceived"),
    decoded: sum(video, "framesDecoded"),
  };
}

/** An icecandidateerror in one line. */
export function errorOf({ url, errorCode, errorText }) {
  return `${url}: ${errorCode} ${errorText}`;
}

// Such as "host udp 192.0.2.7:8189"; a browser hides its own addresses from pages that use no camera.
function nameOf({ candidateType, protocol, relayProtocol, address, ip, port }) {
  const host = address ?? ip ?? "";
  const where = host ? ` ${host.includes(":") ? `[${host}]` : host}:${port}` : "";
  return `${candidateType ?? "unknown"} ${relayProtocol ? `by ${relayProtocol}` : (protocol ?? "")}${where}`.trim();
}
