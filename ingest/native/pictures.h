/* What Python sees of pictures.c; read by the C compiler and by cffi, so plain declarations only. */

struct camshaft_track {            /* the track whose next picture is looked for */
    uint8_t channel, payload_type; /* RFC 2326 10.12, RFC 3550 5.1 */
    uint8_t h265;                  /* 0: H.264 */
    uint16_t sequence;             /* of the packet that is due */
    uint32_t ssrc;
    uint32_t timestamp; /* of the picture before, as it came */
};

struct camshaft_picture {
    uint32_t size;      /* bytes that it takes with its framing */
    uint32_t packets;   /* RTP packets */
    uint32_t octets;    /* bytes of these */
    uint32_t timestamp; /* as it came */
    uint32_t first;     /* the byte behind the NAL unit header of its first slice */
    uint32_t payloads;  /* that it goes out in … */
    uint32_t ends[128]; /* … and where each of them ends in what was written */
};

/* Where in data the first start code begins that ends before size, 00 00 01; -1: there is none. */
int64_t camshaft_start_code(const uint8_t *data, int64_t size);

/* Takes the picture that begins at data, if it is an ordinary one: pictures.c says what that is. Its payloads, of most
 * bytes each, are written to out, back to back. Returns whether it is. */
int camshaft_take_picture(const uint8_t *data, size_t size, const struct camshaft_track *track, uint8_t *out, size_t room,
                          size_t most, struct camshaft_picture *picture);
