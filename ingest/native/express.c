/* An ordinary picture or piece of sound from the bytes that a camera wrote to the frame that leaves for the bus.
 *
 * It is a picture that pictures.c takes, or a packet of sound that is a batch by itself, in time and in order, and all that
 * one read brought. For those this does what ingest/rtp/, ingest/payload/ and common/media.py do for all, and leaves to
 * them what is to be remembered of it. What is written is the same, byte for byte; tests hold that.
 *
 * It allocates nothing, and reads each byte a fixed number of times.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "express.h"
#include "pictures.h"

#define FRAME 4   /* bytes before an interleaved packet */
#define RTP 12    /* bytes before a payload */
#define LENGTH 4  /* bytes before a frame of the bus */
#define HEAD 512  /* bytes before the first payload: LENGTH, CAMSHAFT_MAX_BEGIN, five numbers and the size of an array */
#define BIN 3     /* bytes before a payload at most */
#define FOUND (CAMSHAFT_ENDS + 128)

enum { UNIT_END = 2, SECOND = 1000000000 };

static uint32_t read16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }
static uint32_t read32(const uint8_t *at) { return read16(at) << 16 | read16(at + 2); }

static uint8_t *write_bytes(uint8_t *at, uint64_t value, int bytes) {
    while (bytes--) *at++ = (uint8_t)(value >> (8 * bytes));
    return at;
}

/* A number that is not negative, as msgpack has it: in as few bytes as can be. */
static uint8_t *write_number(uint8_t *at, uint64_t value) {
    if (value < 0x80) return write_bytes(at, value, 1);
    int size = value < 1 << 8 ? 0 : value < 1 << 16 ? 1 : value >> 32 ? 3 : 2; /* of 1, 2, 8, 4 bytes */
    *at++ = (uint8_t)(0xcc + size);
    return write_bytes(at, value, 1 << size);
}

static uint8_t *write_array(uint8_t *at, uint32_t count) {
    if (count < 16) return write_bytes(at, 0x90 | count, 1);
    *at++ = 0xdc;
    return write_bytes(at, count, 2);
}

static uint8_t *write_payload(uint8_t *at, const uint8_t *payload, uint32_t size) {
    if (size < 256) {
        *at++ = 0xc4;
        at = write_bytes(at, size, 1);
    } else {
        *at++ = 0xc5;
        at = write_bytes(at, size, 2);
    }
    memcpy(at, payload, size);
    return at + size;
}

/* The one packet of sound that the bytes are. Returns the number of its payloads. */
static int take_sound(const struct camshaft_course *course, const uint8_t *data, size_t size, const uint8_t **payloads,
                      uint32_t *found) {
    const uint8_t *packet = data + FRAME;
    if (size <= FRAME + RTP || data[0] != '$' || data[1] != course->channel || read16(data + 2) != size - FRAME) return 0;
    if (packet[0] != 0x80 || (packet[1] & 0x7f) != course->payload_type || read16(packet + 2) != course->sequence) return 0;
    if (read32(packet + 8) != course->ssrc || size - FRAME - RTP > course->most) return 0;
    *payloads = packet + RTP;
    found[CAMSHAFT_SIZE] = (uint32_t)size;
    found[CAMSHAFT_PACKETS] = 1;
    found[CAMSHAFT_OCTETS] = (uint32_t)(size - FRAME);
    found[CAMSHAFT_TIMESTAMP] = read32(packet + 4);
    found[CAMSHAFT_FIRST] = 0;
    found[CAMSHAFT_ENDS] = (uint32_t)(size - FRAME - RTP);
    return 1;
}

int camshaft_take_express(struct camshaft_course *course, const uint8_t *data, size_t size, int64_t arrival_ns,
                          uint8_t *out, size_t room, uint32_t *said) {
    uint32_t found[FOUND];
    size_t half = room / 2; /* payloads are written there, and from there to their places in the frame */
    const uint8_t *payloads = out + half;
    if (half < HEAD || arrival_ns >= course->until_ns || course->begin_size > CAMSHAFT_MAX_BEGIN) return 0;
    int count = course->of == CAMSHAFT_SOUND
                    ? take_sound(course, data, size, &payloads, found)
                    : camshaft_take_picture(data, size, course->channel, course->payload_type, course->of == CAMSHAFT_H265,
                                            course->sequence, course->ssrc, course->raw, out + half, room - half,
                                            course->most, found);
    if (!count || found[CAMSHAFT_SIZE] != size) return 0;
    uint32_t step = found[CAMSHAFT_TIMESTAMP] - course->raw;
    if (!step || step > course->leap) return 0;
    if (found[CAMSHAFT_ENDS + count - 1] + (size_t)count * BIN > half - HEAD) return 0;

    int64_t timestamp = course->timestamp + step;
    int64_t media_ns = timestamp / course->rate * SECOND + timestamp % course->rate * SECOND / course->rate;
    int64_t capture_ns = course->capture_ns + media_ns;
    if (capture_ns > arrival_ns) capture_ns = arrival_ns; /* nothing arrives before its time */
    if (timestamp < 0 || capture_ns < 0) return 0;

    uint8_t head[HEAD], *at = head + LENGTH;
    memcpy(at, course->begin, course->begin_size);
    at = write_number(at + course->begin_size, (uint64_t)course->number);
    at = write_number(at, (uint64_t)timestamp);
    at = write_number(at, (uint64_t)capture_ns);
    at = write_number(at, (uint64_t)arrival_ns);
    at = write_number(at, UNIT_END);
    at = write_array(at, (uint32_t)count);
    size_t before = (size_t)(at - head);
    uint8_t *end = out + before;
    for (uint32_t each = 0, from = 0; each < (uint32_t)count; from = found[CAMSHAFT_ENDS + each++])
        end = write_payload(end, payloads + from, found[CAMSHAFT_ENDS + each] - from);
    write_bytes(head, (uint64_t)(end - out - LENGTH), LENGTH);
    memcpy(out, head, before);

    course->sequence = (uint16_t)(course->sequence + found[CAMSHAFT_PACKETS]);
    course->raw = found[CAMSHAFT_TIMESTAMP];
    course->timestamp = timestamp;
    if (course->learns) course->capture_ns = capture_ns - media_ns;
    course->number += count;
    said[CAMSHAFT_FRAME_AT] = 0;
    said[CAMSHAFT_BATCH_AT] = LENGTH + course->topic_size;
    said[CAMSHAFT_FRAME_END] = (uint32_t)(end - out);
    said[CAMSHAFT_CAME] = found[CAMSHAFT_PACKETS];
    said[CAMSHAFT_CAME_BYTES] = found[CAMSHAFT_OCTETS];
    said[CAMSHAFT_CAME_RAW] = found[CAMSHAFT_TIMESTAMP];
    said[CAMSHAFT_CAME_FIRST] = found[CAMSHAFT_FIRST];
    said[CAMSHAFT_MADE] = (uint32_t)count;
    return 1;
}
