/* The compiled half of egress/fanout.py: for each viewer the sequence number, AES-GCM (RFC 7714), and one message for
 * each run of datagrams; many viewers a call, and several messages a system call.
 *
 * It knows nothing of who watches what: it is given headers, payloads, keys and addresses, keeps no state between calls,
 * and allocates nothing in them. Bytes on the wire are those of the Python in fanout.py, which is used wherever this was
 * not built; tests hold that they are equal.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fanout.h"

#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* linux/udp.h */
#endif

#define IV_SIZE 12           /* RFC 7714 8.1 ... */
#define INDEX_SIZE 6         /* ... which ends with ROC and SEQ */
#define TAG_SIZE 16          /* RFC 7714 13 */
#define SEQUENCE_AT 2        /* RFC 3550 5.1 */
#define PLAIN_HEADER 12      /* a longer one has a transport-wide sequence number, equal to the RTP sequence number ... */
#define EXTENSION_AT 17      /* ... after the RFC 8285 4.2 header and the element's first byte */
#define MAX_MESSAGES 128     /* in one system call; a run without GSO takes one a packet, up to MAX_SEGMENTS of port.py */
#define SCRATCH_SIZE 131072  /* bytes: two of the longest runs (MAX_RUN_BYTES of fanout.py), and still in the cache */

struct camshaft_route {
    int socket, gso;
    socklen_t address_size;
    union {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    size_t segment_size, local_size; /* bytes of the ancillary data below */
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct run {
    const uint8_t *headers, *payloads;
    uint32_t count, header_size, payload_size, last_size;
};

struct outgoing { /* messages of one socket that wait for one system call */
    int used;
    size_t filled; /* bytes of scratch */
    struct mmsghdr messages[MAX_MESSAGES];
    struct iovec parts[MAX_MESSAGES];
    int viewers[MAX_MESSAGES]; /* whose each message is */
};

static _Thread_local uint8_t scratch[SCRATCH_SIZE];
static _Thread_local struct outgoing outgoing;

struct camshaft_cipher *camshaft_cipher_new(const uint8_t *key, size_t size) {
    const EVP_CIPHER *type = size == 16 ? EVP_aes_128_gcm() : size == 32 ? EVP_aes_256_gcm() : NULL;
    EVP_CIPHER_CTX *context = type ? EVP_CIPHER_CTX_new() : NULL;
    if (context && EVP_EncryptInit_ex(context, type, NULL, key, NULL) != 1) {
        EVP_CIPHER_CTX_free(context);
        context = NULL;
    }
    return (struct camshaft_cipher *)context;
}

void camshaft_cipher_free(struct camshaft_cipher *cipher) { EVP_CIPHER_CTX_free((EVP_CIPHER_CTX *)cipher); }

static size_t put_ancillary(uint8_t *at, int level, int type, const void *data, size_t size) {
    struct cmsghdr *header = (struct cmsghdr *)at;
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), data, size);
    return CMSG_SPACE(size);
}

struct camshaft_route *camshaft_route_new(int socket, int gso, int family, const uint8_t *address, uint16_t port,
                                          uint32_t flow, uint32_t scope, const uint8_t *local, size_t local_size) {
    struct camshaft_route *route = calloc(1, sizeof *route);
    if (!route) return NULL;
    route->socket = socket;
    route->gso = gso;
    uint16_t segment = 0; /* each call writes its own */
    route->segment_size = put_ancillary(route->control, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment);
    uint8_t *rest = route->control + route->segment_size;
    if (family == AF_INET) {
        route->address_size = sizeof route->address.v4;
        route->address.v4.sin_family = AF_INET;
        route->address.v4.sin_port = htons(port);
        memcpy(&route->address.v4.sin_addr, address, sizeof route->address.v4.sin_addr);
        struct in_pktinfo from = {0};
        if (local_size == sizeof from.ipi_spec_dst) {
            memcpy(&from.ipi_spec_dst, local, local_size);
            route->local_size = put_ancillary(rest, IPPROTO_IP, IP_PKTINFO, &from, sizeof from);
        }
    } else {
        route->address_size = sizeof route->address.v6;
        route->address.v6.sin6_family = AF_INET6;
        route->address.v6.sin6_port = htons(port);
        route->address.v6.sin6_flowinfo = htonl(flow);
        route->address.v6.sin6_scope_id = scope;
        memcpy(&route->address.v6.sin6_addr, address, sizeof route->address.v6.sin6_addr);
        struct in6_pktinfo from = {0};
        if (local_size == sizeof from.ipi6_addr) {
            memcpy(&from.ipi6_addr, local, local_size);
            route->local_size = put_ancillary(rest, IPPROTO_IPV6, IPV6_PKTINFO, &from, sizeof from);
        }
    }
    return route;
}

void camshaft_route_free(struct camshaft_route *route) { free(route); }

/* Ciphertext and tag at `sealed`. Returns 0 if OpenSSL failed. */
static int encrypt(struct camshaft_cipher *cipher, const uint8_t *nonce, const uint8_t *header, size_t header_size,
                   const uint8_t *payload, size_t size, uint8_t *sealed) {
    EVP_CIPHER_CTX *context = (EVP_CIPHER_CTX *)cipher;
    int written;
    return EVP_EncryptInit_ex(context, NULL, NULL, NULL, nonce) == 1 &&
           EVP_EncryptUpdate(context, NULL, &written, header, (int)header_size) == 1 &&
           EVP_EncryptUpdate(context, sealed, &written, payload, (int)size) == 1 &&
           EVP_EncryptFinal_ex(context, sealed + size, &written) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, sealed + size) == 1;
}

/* Headers, ciphertexts and tags, back to back. Returns 0 if OpenSSL failed. */
static int seal_run(const struct run *run, const struct camshaft_lane *lane, uint64_t number, uint8_t *at) {
    const uint8_t *header = run->headers, *payload = run->payloads;
    for (uint32_t left = run->count; left; left--, number++) {
        size_t size = left > 1 ? run->payload_size : run->last_size;
        uint8_t nonce[IV_SIZE];
        memcpy(nonce, lane->iv, IV_SIZE);
        for (int byte = 0; byte < INDEX_SIZE; byte++) nonce[IV_SIZE - 1 - byte] ^= (uint8_t)(number >> 8 * byte);
        memcpy(at, header, run->header_size);
        at[SEQUENCE_AT] = (uint8_t)(number >> 8);
        at[SEQUENCE_AT + 1] = (uint8_t)number;
        if (run->header_size > PLAIN_HEADER) memcpy(at + EXTENSION_AT, at + SEQUENCE_AT, 2);
        if (!encrypt(lane->cipher, nonce, at, run->header_size, payload, size, at + run->header_size)) return 0;
        at += run->header_size + size + TAG_SIZE;
        header += run->header_size;
        payload += size;
    }
    return 1;
}

static size_t datagram_size(const struct run *run, uint32_t index) {
    return run->header_size + (index + 1 < run->count ? run->payload_size : run->last_size) + TAG_SIZE;
}

static void add_message(struct camshaft_route *route, int viewer, uint8_t *data, size_t size, size_t segment) {
    struct outgoing *out = &outgoing;
    struct iovec *part = &out->parts[out->used];
    struct msghdr *message = &out->messages[out->used].msg_hdr;
    *part = (struct iovec){data, size};
    *message = (struct msghdr){&route->address, route->address_size, part, 1, NULL, 0, 0};
    if (segment) {
        uint16_t value = (uint16_t)segment;
        memcpy(CMSG_DATA((struct cmsghdr *)route->control), &value, sizeof value);
        message->msg_control = route->control;
        message->msg_controllen = route->segment_size + route->local_size;
    } else if (route->local_size) {
        message->msg_control = route->control + route->segment_size;
        message->msg_controllen = route->local_size;
    }
    out->viewers[out->used++] = viewer;
    out->filled += size;
}

/* Without GSO a run is several messages. What the kernel refuses of them once the first has left is lost, as it might be
 * on any path: its sequence numbers must not be used for anything else, so the run counts as sent. */
static int flush(int socket, int *errors) {
    struct outgoing *out = &outgoing;
    int refused = 0;
    for (int done = 0; done < out->used;) {
        int sent = sendmmsg(socket, out->messages + done, (unsigned)(out->used - done), 0);
        if (sent > 0) {
            done += sent;
            continue;
        }
        int viewer = out->viewers[done];
        if (done == 0 || out->viewers[done - 1] != viewer) {
            errors[viewer] = errno;
            refused++;
        }
        while (done < out->used && out->viewers[done] == viewer) done++;
    }
    out->used = 0;
    out->filled = 0;
    return refused;
}

int camshaft_fan_out(const uint8_t *headers, const uint8_t *payloads, uint32_t count, uint32_t header_size,
                     uint32_t payload_size, uint32_t last_size, struct camshaft_lane **lanes,
                     struct camshaft_route **routes, const uint64_t *numbers, int *errors, int viewers) {
    struct outgoing *out = &outgoing;
    const struct run run = {headers, payloads, count, header_size, payload_size, last_size};
    size_t segment = datagram_size(&run, 0), run_size = (count - 1) * segment + datagram_size(&run, count - 1);
    int refused = 0, socket = -1;
    if (run_size > SCRATCH_SIZE || count > MAX_MESSAGES) return -1;
    for (int viewer = 0; viewer < viewers; viewer++) {
        struct camshaft_route *route = routes[viewer];
        int segmented = route->gso && count > 1;
        int messages = segmented ? 1 : (int)count;
        if (route->socket != socket || out->used + messages > MAX_MESSAGES || out->filled + run_size > SCRATCH_SIZE) {
            refused += flush(socket, errors);
            socket = route->socket;
        }
        uint8_t *data = scratch + out->filled;
        errors[viewer] = seal_run(&run, lanes[viewer], numbers[viewer], data) ? 0 : EPROTO;
        if (errors[viewer]) {
            refused++;
        } else if (segmented) {
            add_message(route, viewer, data, run_size, segment);
        } else {
            for (uint32_t index = 0; index < count; index++) {
                add_message(route, viewer, data, datagram_size(&run, index), 0);
                data += segment;
            }
        }
    }
    return refused + flush(socket, errors);
}
