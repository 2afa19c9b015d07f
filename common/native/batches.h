/* What Python sees of batches.c; read by the C compiler and by cffi, so plain declarations only. */

/* What is said of a batch is in an array, as Python has that in one call: */
enum {
    CAMSHAFT_EPOCH,
    CAMSHAFT_SEQUENCE,
    CAMSHAFT_TIMESTAMP,
    CAMSHAFT_CAPTURE,
    CAMSHAFT_ARRIVAL,
    CAMSHAFT_FLAGS,
    CAMSHAFT_NAMED,   /* where kind and codec end, which begin two bytes behind the batch's beginning */
    CAMSHAFT_COUNT,   /* of payloads */
    CAMSHAFT_SIZE,    /* bytes of each … */
    CAMSHAFT_LAST,    /* … but of the last */
    CAMSHAFT_AT,      /* where the first lies, … */
    CAMSHAFT_STRIDE,  /* … how far it is to the next, … */
    CAMSHAFT_LAST_AT, /* … and where the last lies, which may have a shorter header before it */
    CAMSHAFT_FOUND    /* how many of these there are */
};

/* Reads the batch that stands at `at` and goes to the end of the frame, if it is an ordinary one: batches.c says what that
 * is. `most` are the bytes of a payload and `packets` how many there are at most. Returns whether it is one. */
int camshaft_read_batch(const uint8_t *frame, size_t size, size_t at, size_t most, size_t packets, int64_t *found);
