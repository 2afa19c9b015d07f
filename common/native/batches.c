/* Reads an ordinary batch in its place: common/media.py says what a batch is, and how it is written.
 *
 * A batch is ordinary if it is as this release writes nearly all of them: ten fields of the first version, texts of less
 * than 32 bytes, numbers that are not negative and fit into 63 bits, flags that are known, and payloads of one size, of
 * which the last may be smaller. Everything else is left to msgpack and to _batch in common/media.py, which make the same
 * of an ordinary one; tests hold that they are equal.
 *
 * It keeps nothing between calls, allocates nothing, and reads no byte of a payload.
 */
#include <stddef.h>
#include <stdint.h>

#include "batches.h"

enum { ARRAY_10 = 0x9a, VERSION = 1, ARRAY = 0x90, ARRAY_16 = 0xdc, TEXT = 0xa0, BIN_8 = 0xc4, BIN_16 = 0xc5, UINT_8 = 0xcc };
enum { MAX_FLAGS = 3, MAX_BITS = 62 }; /* MAX_BITS of what counts, as an epoch, a number of packets or of ticks */

struct reader {
    const uint8_t *at, *end;
};

static size_t left(const struct reader *in) { return (size_t)(in->end - in->at); }

/* Returns 0 if so many bytes are not there. */
static int read_bytes(struct reader *in, size_t size, uint64_t *value) {
    if (size > left(in)) return 0;
    for (*value = 0; size; size--) *value = *value << 8 | *in->at++;
    return 1;
}

static int read_number(struct reader *in, int64_t *found) {
    uint64_t value;
    if (!read_bytes(in, 1, &value)) return 0;
    if (value >= 0x80) {
        if (value < UINT_8 || value > UINT_8 + 3 || !read_bytes(in, (size_t)1 << (value - UINT_8), &value)) return 0;
        if (value > INT64_MAX) return 0;
    }
    *found = (int64_t)value;
    return 1;
}

static int skip_text(struct reader *in) {
    if (!left(in) || (*in->at & 0xe0) != TEXT || left(in) <= (size_t)(*in->at & 0x1f)) return 0;
    in->at += 1 + (*in->at & 0x1f);
    return 1;
}

static int read_count(struct reader *in, uint64_t *count) {
    if (!read_bytes(in, 1, count)) return 0;
    if (*count == ARRAY_16) return read_bytes(in, 2, count);
    *count ^= ARRAY;
    return *count < 16;
}

/* The size of a payload, from its header, and past it. Returns 0 if there is none, or a header that is longer than it has
 * to be. */
static int read_payload(struct reader *in, uint64_t *size) {
    if (!read_bytes(in, 1, size)) return 0;
    int is_long = *size == BIN_16;
    if ((!is_long && *size != BIN_8) || !read_bytes(in, is_long ? 2 : 1, size)) return 0;
    if (!*size || (is_long && *size <= UINT8_MAX) || *size > left(in)) return 0;
    in->at += *size;
    return 1;
}

int camshaft_read_batch(const uint8_t *frame, size_t size, size_t at, size_t most, size_t packets, int64_t *found) {
    if (at > size || size - at < 2 || frame[at] != ARRAY_10 || frame[at + 1] != VERSION) return 0;
    struct reader in = {frame + at + 2, frame + size};
    if (!skip_text(&in) || !skip_text(&in)) return 0;
    found[CAMSHAFT_NAMED] = in.at - frame;
    for (int field = CAMSHAFT_EPOCH; field <= CAMSHAFT_FLAGS; field++)
        if (!read_number(&in, &found[field])) return 0;
    if ((found[CAMSHAFT_EPOCH] | found[CAMSHAFT_SEQUENCE] | found[CAMSHAFT_TIMESTAMP]) >> MAX_BITS) return 0;
    uint64_t count, each, last;
    if (found[CAMSHAFT_FLAGS] > MAX_FLAGS || !read_count(&in, &count) || !count || count > packets) return 0;
    const uint8_t *bins = in.at;
    if (!read_payload(&in, &each) || each > most) return 0;
    found[CAMSHAFT_STRIDE] = in.at - bins;
    found[CAMSHAFT_AT] = in.at - frame - (int64_t)each;
    last = each;
    for (uint64_t number = 1; number < count; number++)
        if (last != each || !read_payload(&in, &last)) return 0; /* one before the last was another size */
    if (last > each || in.at != in.end) return 0;
    found[CAMSHAFT_COUNT] = (int64_t)count;
    found[CAMSHAFT_SIZE] = (int64_t)each;
    found[CAMSHAFT_LAST] = (int64_t)last;
    found[CAMSHAFT_LAST_AT] = (int64_t)(size - last);
    return 1;
}
