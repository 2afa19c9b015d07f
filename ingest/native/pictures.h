/* What Python sees of pictures.c; read by the C compiler and by cffi, so plain declarations only. */

/* What is said of a picture is in an array, as Python has that in one call: */
enum {
    CAMSHAFT_SIZE,      /* bytes that it takes with its framing */
    CAMSHAFT_PACKETS,   /* RTP packets … */
    CAMSHAFT_OCTETS,    /* … and their bytes */
    CAMSHAFT_TIMESTAMP, /* as it came */
    CAMSHAFT_FIRST,     /* the byte behind the NAL unit header of its first slice */
    CAMSHAFT_ENDS       /* from here on: where each payload ends in what was written */
};

/* Where in data the first start code begins that ends before size, 00 00 01; -1: there is none. */
int64_t camshaft_start_code(const uint8_t *data, int64_t size);

/* Takes the picture that begins at data, if it is an ordinary one: pictures.c says what that is.
 *
 * channel, payload_type, ssrc  of the track; h265: its codec, else H.264
 * sequence, timestamp          the number that is due, and the timestamp of the picture before, as they are in packets
 * out                          gets its payloads, of most bytes each, back to back
 * found                        gets what is said of it: CAMSHAFT_ENDS numbers, and one for each of up to 128 payloads
 *
 * Returns the number of its payloads; 0 if it is none. */
int camshaft_take_picture(const uint8_t *data, size_t size, uint8_t channel, uint8_t payload_type, int h265,
                          uint16_t sequence, uint32_t ssrc, uint32_t timestamp, uint8_t *out, size_t room, size_t most,
                          uint32_t *found);
