/* What Python sees of express.c; read by the C compiler and by cffi, so plain declarations only. */

enum { CAMSHAFT_H264, CAMSHAFT_H265, CAMSHAFT_SOUND }; /* what a course is of */

enum { CAMSHAFT_MAX_BEGIN = 400 }; /* bytes of a course's topic and beginning, so that batch and length have room, too */

/* What the next packet of a track has to be, and what is made of it. */
struct camshaft_course {
    int of; /* CAMSHAFT_H264, … */
    uint8_t channel, payload_type;
    uint16_t sequence;  /* that is due */
    uint32_t ssrc, raw; /* and the timestamp of the one before, as it came */
    uint32_t leap;      /* ticks that its timestamp may be later */
    int64_t until_ns;   /* when it has to have come */
    int64_t timestamp;  /* of the one before, as given out */
    int64_t rate;       /* ticks a second */
    int64_t capture_ns; /* what the time of capture is more than the timestamp, in nanoseconds … */
    int learns;         /* … and whether what arrives before that time says that it is less */
    int64_t number;     /* of its first payload in the epoch */
    uint32_t most;      /* bytes of a payload */
    uint32_t topic_size, begin_size;
    uint8_t begin[CAMSHAFT_MAX_BEGIN]; /* topic, and a batch's first fields, up to its epoch */
};

/* What is said of a picture or piece of sound that was taken, in an array: */
enum {
    CAMSHAFT_FRAME_AT,   /* where the frame begins in what was written: its length, topic and batch … */
    CAMSHAFT_BATCH_AT,   /* … where the batch does … */
    CAMSHAFT_FRAME_END,  /* … and where both end */
    CAMSHAFT_CAME,       /* RTP packets … */
    CAMSHAFT_CAME_BYTES, /* … and their bytes */
    CAMSHAFT_CAME_RAW,   /* their timestamp as it came */
    CAMSHAFT_CAME_FIRST, /* the byte behind the NAL unit header of a picture's first slice */
    CAMSHAFT_MADE,       /* payloads */
    CAMSHAFT_SAID        /* how many of these there are */
};

/* Takes the ordinary picture, or piece of sound, that these bytes are, and writes the frame that it goes out in.
 *
 * It came at arrival_ns. out has room for so many bytes, and said gets what is said of it. Returns whether it is that; if
 * not, nothing has changed. If so, the course is that of the next one. */
int camshaft_take_express(struct camshaft_course *course, const uint8_t *data, size_t size, int64_t arrival_ns,
                          uint8_t *out, size_t room, uint32_t *said);
