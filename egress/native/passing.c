/* An ordinary picture or piece of sound from the bus's frame to the kernel, in one call: what nearly all are to an egress.
 *
 * It is one that common/native/batches.c reads, no keyframe, whole, the next one by its number, not too old, nor faster on
 * its way than any before, and one run. For those this does what common/media.py, common/worker/incoming.py and
 * egress/media/ do for all, and leaves to them what is to be remembered of it, and every picture that is not ordinary.
 * Datagrams are the same either way; tests hold that.
 *
 * It keeps nothing between calls and allocates nothing.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "batches.h"
#include "fanout.h"
#include "passing.h"

enum { NAMED_AT = 2, UNIT_END = 2, MARKER_AT = 1, TIMESTAMP_AT = 4, PLAIN_HEADER = 12, MAX_HEADER = 24 };

/* Headers of all packets, of which the last has the marker, if there is one (RFC 3550 5.1). */
static void write_headers(uint8_t *at, const uint8_t *header, size_t size, uint32_t count, uint32_t timestamp,
                          uint8_t marker) {
    uint8_t *last = at;
    for (uint32_t left = count; left; left--, at += size) {
        memcpy(at, header, size);
        for (int byte = 0; byte < 4; byte++) at[TIMESTAMP_AT + byte] = (uint8_t)(timestamp >> (24 - 8 * byte));
        last = at;
    }
    last[MARKER_AT] |= marker;
}

int camshaft_pass_on(const uint8_t *frame, size_t size, size_t at, const uint8_t *named, size_t named_size, size_t most,
                     size_t packets, int64_t epoch, int64_t sequence, int64_t oldest_ns, int64_t newest_ns,
                     const uint8_t *header, size_t header_size, uint8_t marker, int64_t offset, int64_t first, struct camshaft_lane **lanes,
                     struct camshaft_route **routes, int *sent, int *errors, int viewers, int64_t *found) {
    uint8_t headers[CAMSHAFT_MAX_SEGMENTS * MAX_HEADER];
    if (header_size < PLAIN_HEADER || header_size > MAX_HEADER) return -1;
    if (packets > CAMSHAFT_MAX_SEGMENTS) packets = CAMSHAFT_MAX_SEGMENTS;
    if (at > size || size - at < NAMED_AT + named_size || memcmp(frame + at + NAMED_AT, named, named_size)) return -1;
    if (!camshaft_read_batch(frame, size, at, most, packets, found)) return -1;
    if (found[CAMSHAFT_NAMED] != (int64_t)(at + NAMED_AT + named_size) || found[CAMSHAFT_FLAGS] != UNIT_END) return -1;
    if (found[CAMSHAFT_EPOCH] != epoch || found[CAMSHAFT_SEQUENCE] != sequence) return -1;
    if (found[CAMSHAFT_ARRIVAL] < oldest_ns || found[CAMSHAFT_ARRIVAL] > newest_ns) return -1;
    if (found[CAMSHAFT_COUNT] * (found[CAMSHAFT_SIZE] + CAMSHAFT_OVERHEAD) > CAMSHAFT_MAX_RUN) return -1;
    struct camshaft_run run = {
        .count = (uint32_t)found[CAMSHAFT_COUNT],
        .header_size = (uint32_t)header_size,
        .payload_size = (uint32_t)found[CAMSHAFT_SIZE],
        .last_size = (uint32_t)found[CAMSHAFT_LAST],
        .payload_at = (uint32_t)found[CAMSHAFT_AT],
        .stride = (uint32_t)found[CAMSHAFT_STRIDE],
        .last_at = (uint32_t)found[CAMSHAFT_LAST_AT],
    };
    uint64_t timestamp = (uint64_t)found[CAMSHAFT_TIMESTAMP] + (uint64_t)offset; /* of which 32 bits are sent */
    write_headers(headers, header, header_size, run.count, (uint32_t)timestamp, marker);
    return camshaft_fan_out(headers, frame, &run, 1, first, lanes, routes, sent, errors, viewers);
}

int camshaft_keep_on(struct camshaft_way *way, const uint8_t *frame, size_t size, size_t at, int64_t now_ns, int64_t *found) {
    int refused = camshaft_pass_on(frame, size, at, way->named, way->named_size, way->most, way->packets, way->epoch,
                                   way->sequence, now_ns - way->most_ns, now_ns - way->least_ns, way->header,
                                   way->header_size, way->marker, way->offset, way->first, way->lanes, way->routes, way->sent, way->errors, way->viewers,
                                   found);
    if (refused < 0) return refused;
    way->sequence += found[CAMSHAFT_COUNT];
    way->first += found[CAMSHAFT_COUNT];
    return refused;
}
