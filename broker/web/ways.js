// The ways to the server that an answer offers: what a person tells whoever looks after the firewall.

const CANDIDATE = /^a=candidate:\S+ \d+ (udp|tcp) \d+ (\S+) (\d+) typ/gim;
const ADDRESS = /^([\d.]+|\[.+\])$/; // and no name
const LOOPBACK = /^(127\.|\[?::1\]?$)/; // leads to the server from nowhere else
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

/** `host` is where the server's pages are, as the browser's address has it. */
export function blocked(sdp, host = "") {
  const ways = waysIn(sdp);
  if (!ways.length) return "No media arrives; the network may block it.";
  const more = ways.length > NAMED ? `, and ${ways.length - NAMED} more` : "";
  const why = elsewhere(host, ways)
    ? `This page comes from ${host}, which is none of these: the server's media.advertise may have to name it.`
    : "A firewall may block it.";
  return `No media arrives: nothing answers at ${ways.slice(0, NAMED).join(", ")}${more}. ${why}`;
}

// As of a container of which ports are published, and of a machine behind a router.
const elsewhere = (host, ways) =>
  ADDRESS.test(host) && !LOOPBACK.test(host) && !ways.some((way) => way.startsWith(`${host}:`));
