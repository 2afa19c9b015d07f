/* What Python sees of passing.c; read by the C compiler and by cffi, so plain declarations only. */

enum { /* as egress/media/fanout.py has them: what one run may be */
    CAMSHAFT_MAX_SEGMENTS = 64,
    CAMSHAFT_MAX_RUN = 64000, /* bytes, with … */
    CAMSHAFT_OVERHEAD = 40    /* … so many for each packet beside its payload */
};

/* The way of all ordinary pictures, or sounds, of a track for as long as nothing about it changes; see camshaft_pass_on. */
struct camshaft_way {
    const uint8_t *named;
    size_t named_size;
    size_t most, packets;
    int64_t epoch, sequence; /* that are due … */
    int64_t most_ns, least_ns; /* … and how long ago they have to have been read from the camera, at most and at least */
    const uint8_t *header;
    size_t header_size;
    uint8_t marker;
    int64_t offset;
    int64_t first; /* index of the next packet */
    struct camshaft_lane **lanes;
    struct camshaft_route **routes;
    int *sent, *errors;
    int viewers;
};

/* The same for what stands in a frame that came at now_ns; if it was sent, the way is that of the next one. */
int camshaft_keep_on(struct camshaft_way *way, const uint8_t *frame, size_t size, size_t at, int64_t now_ns, int64_t *found);

/* Sends the picture or sound that stands at `at` in a frame to all of some viewers, if it is the one that is due; see passing.c.
 *
 * named     kind and codec that it has to have, as they stand in a frame
 * most      bytes of a payload, and `packets` how many of them are sent at once
 * epoch, sequence, oldest_ns, newest_ns: its epoch and number, and when it was read from the camera at the earliest and
 *           at the latest
 * header    of its packets, of PLAIN_HEADER bytes at least: number and timestamp are still to be filled in …
 * marker    … and this bit of the last one's, of its second byte
 * offset    what the timestamp out is more than the batch's, of which 32 bits count
 * found     gets what camshaft_read_batch says of the batch
 *
 * The others are camshaft_fan_out's. Returns how often something was refused; -1, and nothing is sent, if it is another. */
int camshaft_pass_on(const uint8_t *frame, size_t size, size_t at, const uint8_t *named, size_t named_size, size_t most,
                     size_t packets, int64_t epoch, int64_t sequence, int64_t oldest_ns, int64_t newest_ns,
                     const uint8_t *header, size_t header_size, uint8_t marker, int64_t offset, int64_t first, struct camshaft_lane **lanes,
                     struct camshaft_route **routes, int *sent, int *errors, int viewers, int64_t *found);
