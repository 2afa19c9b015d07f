// An ICE restart as SDP: both sides get other credentials, and nothing else of the session changes (RFC 8829 5.2.2, RFC
// 8840). The server tells its side as a fragment, and the browser wants a whole answer.

const CREDENTIAL = /^a=ice-(?:ufrag|pwd):.*/gm;
const CANDIDATE = /^a=(?:candidate:.*|end-of-candidates)\r?\n/gm;

/** Our side: the credentials of an offer. */
export function fragmentOf(offer) {
  const found = new Map();
  for (const [line] of offer.matchAll(CREDENTIAL)) {
    const [name] = line.split(":");
    if (!found.has(name)) found.set(name, line.trimEnd());
  }
  return [...found.values(), ""].join("\r\n");
}

/** The answer that there was, with the server's side of a restart. Null for a fragment that has no credentials. */
export function renewed(answer, fragment) {
  const [, ufrag] = /^a=ice-ufrag:(\S+)/m.exec(fragment) ?? [];
  const [, password] = /^a=ice-pwd:(\S+)/m.exec(fragment) ?? [];
  if (!ufrag || !password) return null;
  const candidates = (fragment.match(CANDIDATE) ?? []).join("");
  return answer
    .replace(/^(o=\S+ \d+ )(\d+)/m, (_, before, version) => before + (Number(version) + 1)) // RFC 8866 5.2
    .replace(/^(a=ice-ufrag:)\S+/gm, `$1${ufrag}`)
    .replace(/^(a=ice-pwd:)\S+/gm, `$1${password}`)
    .split(/^(?=m=)/m)
    .map((section) => {
      const without = section.replace(CANDIDATE, "");
      return without === section ? section : without + candidates;
    })
    .join("");
}
