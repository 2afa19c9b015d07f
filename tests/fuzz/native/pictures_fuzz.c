/* Fuzzes ingest/native/pictures.c and express.c with what a camera sends, within what ingest/native/__init__.py promises
 * them: bytes that were received, of that size, and room for what they become.
 *
 * The input's first byte says which codec, and how: as it stands, or as a program that writes frames, most of them right,
 * because a fuzzer does not find a picture by itself. With -DREPLAY it is a program that runs the files it is given. */
#include <stdio.h>
#include <stdlib.h>

#include "../../../ingest/native/pictures.c"

#include "../../../ingest/native/express.h"

#define ROOM 131072
#define MOST 1160

static const uint8_t *input;
static size_t left;

static unsigned next_byte(void) {
    if (!left) return 0;
    left--;
    return *input++;
}

/* Frames of one picture as the input says: for each its size and what is wrong with it, and its first bytes. */
static size_t write_frames(uint8_t *at, int h265) {
    static const uint8_t kinds[2][8] = {{0x41, 0x7c, 0x7c, 0x7c, 0x06, 0x09, 0x65, 0x01}, {2, 98, 98, 98, 78, 70, 38, 0}};
    uint8_t *begin = at;
    for (int packet = 0; left && packet < 160; packet++) {
        unsigned how = next_byte();
        size_t size = RTP + 1 + next_byte() % 24 + (how & 0x80 ? 1160 : 0);
        at[0] = '$';
        at[1] = 0;
        at[2] = (uint8_t)(size >> 8);
        at[3] = (uint8_t)size;
        uint8_t header[RTP] = {0x80, (uint8_t)(96 | (how & 0x40 ? 0x80 : 0)), 0, (uint8_t)packet, 0, 0, 0, 9, 0, 0, 0, 7};
        memcpy(at + FRAME, header, RTP);
        uint8_t *payload = at + FRAME + RTP;
        memset(payload, 0x55, size - RTP);
        payload[0] = kinds[h265][how & 7];
        for (size_t byte = 1; byte < 5 && byte < size - RTP; byte++) payload[byte] = (uint8_t)next_byte();
        if (how & 0x20) payload[size - RTP - 1] = (uint8_t)next_byte();
        if ((how & 0x18) == 0x18) at[next_byte() % 16] ^= (uint8_t)next_byte();
        at += FRAME + size;
    }
    return (size_t)(at - begin);
}

/* The same by the express way: what is written is a frame of the size that it says, within what there is room for. */
static void take_express(const uint8_t *data, size_t received, unsigned how) {
    struct camshaft_course course = {
        .of = how & 0x10 ? CAMSHAFT_SOUND : (int)(how & 1), .payload_type = 96, .ssrc = 7, .raw = how & 4, .leap = 1 << 20,
        .until_ns = 1000, .rate = 90000, .capture_ns = how, .learns = how & 0x20, .most = MOST, .topic_size = 5, .begin_size = 21};
    size_t room = how & 8 ? received : 2 * ROOM;
    uint8_t *out = malloc(room ? room : 1);
    uint32_t said[CAMSHAFT_SAID];
    struct camshaft_course before = course;
    if (camshaft_take_express(&course, data, received, how & 0x40 ? 1000 : 999, out, room, said)) {
        uint32_t end = said[CAMSHAFT_FRAME_END];
        if (end > room || read32(out) != end - 4 || said[CAMSHAFT_BATCH_AT] != 9 || said[CAMSHAFT_MADE] > MAX_PACKETS) abort();
        if (course.sequence != said[CAMSHAFT_CAME] || course.number != said[CAMSHAFT_MADE]) abort();
    } else if (memcmp(&before, &course, sizeof course)) {
        abort();
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static uint8_t frames[160 * 2048];
    input = bytes;
    left = size;
    unsigned how = next_byte();
    size_t received = how & 2 ? left : write_frames(frames, how & 1);
    if (received > ROOM / 2) return 0; /* more than a connection holds */
    uint8_t *data = malloc(received ? received : 1), *out = malloc(ROOM);
    memcpy(data, how & 2 ? input : frames, received);
    size_t room = how & 8 ? received / 2 : ROOM;
    uint32_t *found = malloc((CAMSHAFT_ENDS + MAX_PACKETS) * sizeof *found), *ends = found + CAMSHAFT_ENDS;
    int count = camshaft_take_picture(data, received, 0, 96, how & 1, 0, 7, how & 4, out, room, MOST, found);
    uint32_t before = 0;
    if (count && (found[CAMSHAFT_SIZE] > received || found[CAMSHAFT_OCTETS] > found[CAMSHAFT_SIZE])) abort();
    for (int at = 0; at < count; before = ends[at++]) {
        if (ends[at] <= before || ends[at] - before > MOST || ends[at] > room) abort();
        if (out[before] & 0x80) abort(); /* forbidden_zero_bit */
    }
    free(found);
    take_express(data, received, how);
    int64_t code = camshaft_start_code(data, (int64_t)received);
    if (code >= 0 && (data[code] || data[code + 1] || data[code + 2] != 1)) abort();
    free(data);
    free(out);
    return 0;
}

#include "replay.h"
