/* Fuzzes common/native/batches.c with what comes from the bus, within what common/native/__init__.py promises it: a frame,
 * of that size.
 *
 * The input's first byte says whether it is a frame as it stands, or what a writer of batches writes, most of it right.
 * With -DREPLAY it is a program that runs the files it is given. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/native/batches.c"

#define MOST 1160
#define PACKETS 64

static const uint8_t *input;
static size_t left_over;

static unsigned next_byte(void) {
    if (!left_over) return 0;
    left_over--;
    return *input++;
}

/* A batch as the input says: its numbers, and payloads of which the sizes may differ. */
static size_t write_batch(uint8_t *at) {
    static const uint8_t head[] = "yard\0\x9a\1\xa5video\xa4H264";
    uint8_t *begin = at;
    memcpy(at, head, sizeof head - 1);
    at += sizeof head - 1;
    for (int field = 0; field < 6; field++) {
        unsigned bytes = next_byte() % 5;
        *at++ = bytes ? (uint8_t)(UINT_8 - 1 + bytes) : (uint8_t)(next_byte() & 3);
        for (unsigned byte = 0; bytes && byte < 1u << (bytes - 1); byte++) *at++ = (uint8_t)next_byte();
    }
    unsigned how = next_byte(), count = next_byte() % 40, size = (next_byte() << 3 | (how & 7)) % (MOST + 4);
    if (how & 8 || count > 15) *at++ = ARRAY_16, *at++ = 0, *at++ = (uint8_t)count;
    else *at++ = (uint8_t)(ARRAY | count);
    for (unsigned number = 0; number < count; number++) {
        if (how & 16 && (number == count - 1 || next_byte() & 1)) size = next_byte();
        if (size > UINT8_MAX) *at++ = BIN_16, *at++ = (uint8_t)(size >> 8);
        else *at++ = BIN_8;
        *at++ = (uint8_t)size;
        memset(at, 0x55, size);
        at += size;
    }
    if (how & 32) begin[next_byte() % (size_t)(at - begin)] ^= (uint8_t)next_byte();
    return (size_t)(at - begin) - (how & 64 ? next_byte() % 8 : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static uint8_t written[64 << 10];
    input = bytes;
    left_over = size;
    int plain = next_byte() & 1;
    size_t at = plain ? next_byte() % 8 : 5, length = plain ? left_over : write_batch(written);
    uint8_t *frame = malloc(length ? length : 1);
    memcpy(frame, plain ? input : written, length);
    int64_t *found = malloc(CAMSHAFT_FOUND * sizeof *found);
    if (camshaft_read_batch(frame, length, at, MOST, PACKETS, found)) {
        int64_t count = found[CAMSHAFT_COUNT], each = found[CAMSHAFT_SIZE], last = found[CAMSHAFT_LAST];
        if (count < 1 || count > PACKETS || last < 1 || last > each || each > MOST) abort();
        if (found[CAMSHAFT_NAMED] <= (int64_t)at || found[CAMSHAFT_NAMED] >= found[CAMSHAFT_AT]) abort();
        int64_t end = found[CAMSHAFT_AT] + (count - 1) * found[CAMSHAFT_STRIDE]; /* of the last but one, with a header */
        if (count == 1 ? found[CAMSHAFT_LAST_AT] != found[CAMSHAFT_AT] : found[CAMSHAFT_LAST_AT] > end) abort();
        if (found[CAMSHAFT_LAST_AT] + last != (int64_t)length) abort();
        for (int field = CAMSHAFT_EPOCH; field <= CAMSHAFT_FLAGS; field++)
            if (found[field] < 0) abort();
    }
    free(found);
    free(frame);
    return 0;
}

#include "replay.h"
