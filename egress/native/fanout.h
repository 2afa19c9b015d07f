/* What Python sees of fanout.c; read by the C compiler and by cffi, so plain declarations only. */

struct camshaft_cipher; /* AES-GCM with one viewer's key */
struct camshaft_route;  /* where one viewer's datagrams go, and the address of ours they leave from */

struct camshaft_lane {              /* one SSRC towards one viewer */
    struct camshaft_cipher *cipher; /* not owned */
    uint8_t iv[12];                 /* the nonce of packet index 0, RFC 7714 8.1 */
    int64_t base;                   /* what the index here, ROC << 16 | SEQ, is less than the track's */
    uint64_t packets, octets;       /* that were sent, and the latter of payload; counted here */
};

struct camshaft_run { /* packets that one UDP GSO call can send */
    uint32_t count, header_size;
    uint32_t payload_size, last_size; /* of each packet's payload, and of the last one's */
    uint32_t payload_at, stride;      /* where the first one's payload lies, and from there to the next one's … */
    uint32_t last_at;                 /* … and where the last one's does */
};

/* Name and version of the library that encrypts. */
const char *camshaft_library(void);

/* NULL if the key has not 16 or 32 bytes, or if there is no memory. */
struct camshaft_cipher *camshaft_cipher_new(const uint8_t *key, size_t size);
void camshaft_cipher_free(struct camshaft_cipher *cipher);

/* address and local: packed, in network byte order; local_size 0: the kernel chooses. NULL if the family is neither
 * AF_INET nor AF_INET6, or if there is no memory. */
struct camshaft_route *camshaft_route_new(int fd, int gso, int family, const uint8_t *address, uint16_t port,
                                          uint32_t flow, uint32_t scope, const uint8_t *local, size_t local_size);
void camshaft_route_free(struct camshaft_route *route);

/* Sends runs to each of some viewers, routes[i] being where lanes[i] goes; a viewer gets all of them before the next one
 * gets any.
 *
 * headers   of all packets, back to back, their sequence numbers still to be filled in
 * payloads  of all packets; runs say where each lies
 * first     the track's index of the first packet
 * sent      how many runs have left for each viewer, or are lost for good; the others are to be sent again
 * errors    the latest errno if something was refused, else 0
 *
 * Returns how often something was refused; -1, and nothing is sent, if a run is empty or too long. */
int camshaft_fan_out(const uint8_t *headers, const uint8_t *payloads, const struct camshaft_run *runs, int run_count,
                     int64_t first, struct camshaft_lane **lanes, struct camshaft_route **routes, int *sent, int *errors,
                     int viewers);
