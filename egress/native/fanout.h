/* What Python sees of fanout.c; read by the C compiler and by cffi, so plain declarations only. */

struct camshaft_cipher; /* AES-GCM with one viewer's key */
struct camshaft_route;  /* where one viewer's datagrams go, and the address of ours they leave from */

struct camshaft_lane {              /* one SSRC towards one viewer */
    struct camshaft_cipher *cipher; /* not owned */
    uint8_t iv[12];                 /* the nonce of packet index 0, RFC 7714 8.1 */
};

/* NULL if the key has not 16 or 32 bytes, or if there is no memory. */
struct camshaft_cipher *camshaft_cipher_new(const uint8_t *key, size_t size);
void camshaft_cipher_free(struct camshaft_cipher *cipher);

/* family: AF_INET or AF_INET6; address and local: packed, in network byte order; local_size 0: the kernel chooses. */
struct camshaft_route *camshaft_route_new(int socket, int gso, int family, const uint8_t *address, uint16_t port,
                                          uint32_t flow, uint32_t scope, const uint8_t *local, size_t local_size);
void camshaft_route_free(struct camshaft_route *route);

/* Sends a run, which is what one UDP GSO call can send, to each of some viewers in order.
 *
 * headers   count headers of header_size bytes, their sequence numbers still to be filled in
 * payloads  back to back: each payload_size bytes, the last one last_size
 * numbers   of the first packet on lanes[i]: its index, ROC << 16 | SEQ
 *
 * Returns for how many nothing has left: of those errors[i] is the errno, of all others 0. -1: the run is too long. */
int camshaft_fan_out(const uint8_t *headers, const uint8_t *payloads, uint32_t count, uint32_t header_size,
                     uint32_t payload_size, uint32_t last_size, struct camshaft_lane **lanes,
                     struct camshaft_route **routes, const uint64_t *numbers, int *errors, int viewers);
