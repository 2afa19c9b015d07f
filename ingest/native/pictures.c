/* The compiled shortcut of ingest's hot path: an ordinary picture, from the interleaved frames that a camera wrote to the
 * payloads that viewers get, in one call.
 *
 * It only knows what nearly all pictures are. A picture is ordinary if all of this holds:
 *
 *   - its interleaved frames (RFC 2326 10.12) are all there, one after the other, on the track's channel;
 *   - they are RTP packets (RFC 3550 5.1) of the track's payload type and source, the next ones by their numbers, without
 *     padding, extension or contributing sources, of one timestamp that is new, and the marker stands on the last alone;
 *   - they carry slices with which no decoder starts: as single NAL units, or from the first to the last fragment (RFC 6184
 *     5.6, 5.8; RFC 7798 4.4.1, 4.4.3). Only the first slice says that it is the picture's first;
 *   - beside them there are only what leads to no payload (access unit delimiters, H.265's SEI), and before the slices one
 *     SEI of H.264; none says how pictures are to be turned;
 *   - no NAL unit has a start code in it, nor zeros at its end.
 *
 * Everything else, such as a keyframe, is left to ingest/rtsp/parser.py, ingest/rtp/receiver.py and ingest/payload/, which
 * do the same for an ordinary picture, byte for byte, wherever this was not built; tests hold that they are equal.
 *
 * It keeps nothing between calls, allocates nothing, and reads each byte a fixed number of times.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "pictures.h"

#define FRAME 4         /* bytes before an interleaved packet */
#define RTP 12          /* bytes before a payload */
#define MAX_PACKETS 128 /* of a picture, and of the payloads it goes out in: 64 kB of a real camera are some 50 */

enum { DISPLAY_ORIENTATION = 47 }; /* payloadType of supplemental information */
enum { H264_SLICE = 1, H264_SEI = 6, H264_DELIMITER = 9, H264_FRAGMENT = 28 };
enum { H265_LAST_SLICE = 9, H265_DELIMITER = 35, H265_SEI = 39, H265_LAST_SEI = 40, H265_FRAGMENT = 49 };

struct piece {
    const uint8_t *at;
    size_t size;
};

struct nal { /* the NAL unit that is arriving, in pieces */
    uint8_t header[2];
    int count; /* of pieces; 0: none is arriving */
    size_t size;
    struct piece pieces[MAX_PACKETS];
};

struct job {
    size_t header_size; /* of a NAL unit */
    size_t most;        /* bytes of a payload */
    int slices, held;   /* that have come, and SEI before them */
    uint8_t *out, *written, *end;
    int payloads;
    uint32_t *found;
};

static uint32_t read16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }
static uint32_t read32(const uint8_t *at) { return read16(at) << 16 | read16(at + 2); }

/* Whether the bytes have a start code in them, 00 00 01; before: the two bytes before them, which may begin it. */
static int has_start_code(const uint8_t *at, size_t size, uint8_t before[2]) {
    const uint8_t *end = at + size, *from = at;
    while (from < end && (from = memchr(from, 1, (size_t)(end - from)))) {
        uint8_t last = from > at ? from[-1] : before[1];
        uint8_t last_but_one = from > at + 1 ? from[-2] : from > at ? before[1] : before[0];
        if (!last && !last_but_one) return 1;
        from++;
    }
    before[0] = size > 1 ? end[-2] : before[1];
    before[1] = end[-1];
    return 0;
}

int64_t camshaft_start_code(const uint8_t *data, int64_t size) {
    /* A quarter of a thousand bytes is a 1: memchr jumps from one to the next. */
    for (const uint8_t *at = data + 2, *end = data + size; at < end && (at = memchr(at, 1, (size_t)(end - at))); at++)
        if (!at[-1] && !at[-2]) return at - data - 2;
    return -1;
}

/* Appends a payload of so many bytes to what goes out. Returns where it is to be written; NULL if there is no room. */
static uint8_t *add_payload(struct job *job, size_t size) {
    if (size > (size_t)(job->end - job->written) || job->payloads == MAX_PACKETS) return NULL;
    uint8_t *at = job->written;
    job->written += size;
    job->found[CAMSHAFT_ENDS + job->payloads++] = (uint32_t)(job->written - job->out);
    return at;
}

/* Writes the NAL unit: whole, or in fragments that fill their payloads, the last one's apart. 0: there is no room. */
static int write_nal(struct job *job, const struct nal *nal) {
    size_t header = job->header_size, left = nal->size;
    const struct piece *piece = nal->pieces;
    size_t used = 0; /* bytes of the piece */
    int whole = header + left <= job->most, type = header == 1 ? nal->header[0] & 0x1f : nal->header[0] >> 1 & 0x3f;
    for (int begun = 0; left; begun = 1) {
        size_t size = whole || left <= job->most - header - 1 ? left : job->most - header - 1;
        uint8_t *at = add_payload(job, header + !whole + size);
        if (!at) return 0;
        memcpy(at, nal->header, header);
        if (!whole) {
            at[0] = header == 1 ? (uint8_t)((at[0] & 0x60) | H264_FRAGMENT) : (uint8_t)((at[0] & 0x81) | H265_FRAGMENT << 1);
            at[header] = (uint8_t)(type | (begun ? 0 : 0x80) | (size == left ? 0x40 : 0));
            at++;
        }
        at += header;
        left -= size;
        while (size) {
            size_t some = piece->size - used < size ? piece->size - used : size;
            memcpy(at, piece->at + used, some);
            at += some;
            size -= some;
            used += some;
            if (used == piece->size) piece++, used = 0;
        }
    }
    return 1;
}

/* A NAL unit is whole. Returns whether it may be in an ordinary picture, and that there was room. */
static int finish_nal(struct job *job, struct nal *nal, int goes_out) {
    uint8_t before[2] = {0xff, 0xff}; /* H.264's header cannot be the beginning of a start code, H.265's can */
    if (job->header_size == 2) memcpy(before, nal->header, 2);
    for (int at = 0; at < nal->count; at++)
        if (has_start_code(nal->pieces[at].at, nal->pieces[at].size, before)) return 0;
    if (!before[1]) return 0;
    int fits = !goes_out || write_nal(job, nal);
    nal->count = 0;
    nal->size = 0;
    return fits;
}

static void add_piece(struct nal *nal, const uint8_t *at, size_t size) {
    nal->pieces[nal->count++] = (struct piece){at, size};
    nal->size += size;
}

/* Whether supplemental information, behind its header, may say how pictures are to be turned: H.264 7.3.2.3.1, D.1.27,
 * H.265 7.3.5, D.2.17. What has emulation prevention in it is not taken apart here. */
static int may_turn(const uint8_t *at, size_t size) {
    const uint8_t *end = at + size;
    if (!memchr(at, DISPLAY_ORIENTATION, size)) return 0; /* nearly all */
    for (const uint8_t *byte = at; byte + 2 < end; byte++)
        if (!byte[0] && !byte[1] && byte[2] == 3) return 1;
    while (end - at > 1) {
        size_t values[2] = {0, 0}; /* payloadType, payloadSize */
        for (int each = 0; each < 2; each++) {
            while (at < end && *at == 0xff) values[each] += *at++;
            if (at == end) return 0;
            values[each] += *at++;
        }
        if (values[0] == DISPLAY_ORIENTATION) return 1;
        if (values[1] > (size_t)(end - at)) return 0;
        at += values[1];
    }
    return 0;
}

/* A slice is whole. */
static int finish_slice(struct job *job, struct nal *nal) {
    uint8_t first = nal->pieces[0].at[0]; /* first_mb_in_slice of 0, first_slice_segment_in_pic_flag: the highest bit */
    if (!(first & 0x80) != !!job->slices) return 0;
    if (!job->slices++) job->found[CAMSHAFT_FIRST] = first;
    return finish_nal(job, nal, 1);
}

/* One RTP payload, longer than a NAL unit header. Returns whether it may be in an ordinary picture. */
static int take_payload(struct job *job, struct nal *nal, const uint8_t *at, size_t size) {
    size_t header = job->header_size;
    int h265 = header == 2, type = h265 ? at[0] >> 1 & 0x3f : at[0] & 0x1f;
    if (at[0] & 0x80 || (h265 && (at[0] & 1 || at[1] >> 3))) return 0; /* of another layer than the first */
    if (type == (h265 ? H265_FRAGMENT : H264_FRAGMENT)) {
        uint8_t bits = at[header];
        int first = bits & 0x80, last = bits & 0x40;
        int of = h265 ? bits & 0x3f : bits & 0x1f;
        if (size < header + 2 || (first && last) || !first != !!nal->count) return 0;
        if (h265 ? of > H265_LAST_SLICE : of != H264_SLICE || bits & 0x20) return 0;
        uint8_t begin = h265 ? (uint8_t)((at[0] & 0x81) | of << 1) : (uint8_t)((at[0] & 0x60) | of);
        if (first) {
            nal->header[0] = begin;
            nal->header[1] = at[header - 1];
        } else if (begin != nal->header[0] || (h265 && at[1] != nal->header[1])) {
            return 0;
        }
        add_piece(nal, at + header + 1, size - header - 1);
        return last ? finish_slice(job, nal) : 1;
    }
    if (nal->count) return 0;
    nal->header[0] = at[0];
    nal->header[1] = at[header - 1];
    add_piece(nal, at + header, size - header);
    if ((h265 ? type == H265_SEI : type == H264_SEI) && may_turn(at + header, size - header)) return 0;
    if (h265 ? type <= H265_LAST_SLICE : type == H264_SLICE) return finish_slice(job, nal);
    if (h265) return (type == H265_DELIMITER || type == H265_SEI || type == H265_LAST_SEI) && finish_nal(job, nal, 0);
    if (job->slices) return 0;
    if (type == H264_SEI) return !job->held++ && size <= job->most && finish_nal(job, nal, 1);
    return type == H264_DELIMITER && finish_nal(job, nal, 0);
}

/* Whether the last packet of a picture is there, as far as framing and the marker say. */
static int is_whole(const uint8_t *at, const uint8_t *end, uint8_t channel) {
    for (int packets = 0; packets < MAX_PACKETS; packets++) {
        if (end - at < FRAME + RTP || at[0] != '$' || at[1] != channel) return 0;
        size_t length = read16(at + 2);
        if (length > (size_t)(end - at - FRAME)) return 0;
        if (at[FRAME + 1] & 0x80) return 1;
        at += FRAME + length;
    }
    return 0;
}

int camshaft_take_picture(const uint8_t *data, size_t size, uint8_t channel, uint8_t payload_type, int h265,
                          uint16_t sequence, uint32_t ssrc, uint32_t timestamp, uint8_t *out, size_t room, size_t most,
                          uint32_t *found) {
    struct nal nal; /* of its pieces only those that came are ever looked at */
    struct job job = {.header_size = h265 ? 2 : 1, .most = most, .out = out, .written = out, .end = out + room, .found = found};
    const uint8_t *at = data, *end = data + size;
    if (most <= job.header_size + 1 || !is_whole(at, end, channel)) return 0;
    uint32_t packets = 0, octets = 0, now = read32(at + FRAME + 4);
    if (now == timestamp) return 0;
    nal.count = 0;
    nal.size = 0;
    for (int marker = 0; !marker; packets++) { /* is_whole has seen frames up to the marker */
        size_t length = read16(at + 2);
        const uint8_t *packet = at + FRAME;
        marker = packet[1] & 0x80;
        if (length <= RTP + job.header_size || packet[0] != 0x80 || (packet[1] & 0x7f) != payload_type) return 0;
        if (read16(packet + 2) != (uint16_t)(sequence + packets) || read32(packet + 4) != now || read32(packet + 8) != ssrc)
            return 0;
        if (!take_payload(&job, &nal, packet + RTP, length - RTP)) return 0;
        octets += (uint32_t)length;
        at = packet + length;
    }
    if (nal.count || !job.slices) return 0;
    found[CAMSHAFT_SIZE] = (uint32_t)(at - data);
    found[CAMSHAFT_PACKETS] = packets;
    found[CAMSHAFT_OCTETS] = octets;
    found[CAMSHAFT_TIMESTAMP] = now;
    return job.payloads;
}
