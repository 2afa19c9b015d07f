// What a player tells of its connection to who measures.

/** A promise of numbers, with the names of getStats(): `video` and `audio`, `transport`, `roundTripTime` (s); those there are. */
export async function numbersOf(pc) {
  const found = {};
  const report = (await pc?.getStats()) ?? new Map();
  report.forEach((entry) => {
    if (entry.type === "inbound-rtp") {
      const codec = report.get(entry.codecId)?.mimeType;
      found[entry.kind ?? entry.mediaType] = { ...entry, codec };
    } else if (entry.type === "transport") {
      found.transport = { ...entry };
    } else if (entry.type === "candidate-pair" && entry.nominated) {
      found.roundTripTime = entry.currentRoundTripTime;
    }
  });
  return found;
}
