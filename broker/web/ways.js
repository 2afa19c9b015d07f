// The ways to the server that an answer offers: what a person tells whoever looks after the firewall.

const CANDIDATE = /^a=candidate:\S+ \d+ (udp|tcp) \d+ (\S+) (\d+) typ/gim;
const LOOPBACK = /^(127\.|::1$)/; // leads to the server from nowhere else
const NAMED = 4; // more make no sentence

// Such as "192.0.2.7:8189 (UDP, TCP)"; addresses and ports of an answer, with the protocols by which they were offered.
export function waysIn(sdp) {
  const ways = new Map();
  for (const [, protocol, host, port] of (sdp ?? "").matchAll(CANDIDATE)) {
    const where = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    if (!LOOPBACK.test(host)) ways.set(where, (ways.get(where) ?? new Set()).add(protocol.toUpperCase()));
  }
  return [...ways].map(([where, protocols]) => `${where} (${[...protocols].join(", ")})`);
}

export function blocked(sdp) {
  const ways = waysIn(sdp);
  if (!ways.length) return "No media arrives; the network may block it.";
  const more = ways.length > NAMED ? `, and ${ways.length - NAMED} more` : "";
  return `No media arrives: nothing answers at ${ways.slice(0, NAMED).join(", ")}${more}. A firewall may block it.`;
}
