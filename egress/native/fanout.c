/* The compiled half of egress/media/fanout.py: for each viewer the sequence number, AES-GCM (RFC 7714), and one message for
 * each run of datagrams; many viewers a call, and several messages a system call.
 *
 * It knows nothing of who watches what: it is given headers, payloads, keys and addresses, keeps nothing between calls
 * but what each lane has sent, and allocates nothing in them. Bytes on the wire are those of the Python in fanout.py,
 * which is used wherever this was not built; tests hold that they are equal.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
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
#define EXTENSION_AT 17      /* ... after the RFC 8285 4.2 header and the first element's first byte */
#define MAX_MESSAGES 128     /* in one system call; a run without GSO takes one a packet, up to MAX_SEGMENTS of target.py */
#define MAX_INTERRUPTS 16    /* of a flush: more signals than that must not hold everybody up, and what is left goes later */
#define SCRATCH_SIZE 131072  /* bytes: two of the longest runs (MAX_RUN_BYTES of fanout.py), and still in the cache */

#define CONTROL_SIZE (CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(struct in6_pktinfo)))

struct camshaft_route {
    int fd, gso;
    socklen_t address_size;
    union {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    size_t segment_size, local_size; /* bytes of the ancillary data below */
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE];
};

struct outgoing { /* messages of one socket that wait for one system call */
    int used;
    size_t filled; /* bytes of scratch */
    struct mmsghdr messages[MAX_MESSAGES];
    struct iovec parts[MAX_MESSAGES];
    _Alignas(struct cmsghdr) uint8_t controls[MAX_MESSAGES][CONTROL_SIZE];
    struct {
        int viewer, run, segmented;
    } owners[MAX_MESSAGES];
};

static _Thread_local uint8_t scratch[SCRATCH_SIZE];
static _Thread_local struct outgoing outgoing;

const char *camshaft_library(void) { return OpenSSL_version(OPENSSL_VERSION); }

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

struct camshaft_route *camshaft_route_new(int fd, int gso, int family, const uint8_t *address, uint16_t port,
                                          uint32_t flow, uint32_t scope, const uint8_t *local, size_t local_size) {
    if (family != AF_INET && family != AF_INET6) return NULL;
    struct camshaft_route *route = calloc(1, sizeof *route);
    if (!route) return NULL;
    route->fd = fd;
    route->gso = gso;
    uint16_t segment = 0; /* each message has its own */
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
static int seal_run(const struct camshaft_run *run, const uint8_t *header, const uint8_t *payloads,
                    const struct camshaft_lane *lane, uint64_t number, uint8_t *at) {
    const uint8_t *payload = payloads + run->payload_at;
    for (uint32_t left = run->count; left; left--, number++) {
        size_t size = left > 1 ? run->payload_size : run->last_size;
        if (left == 1) payload = payloads + run->last_at;
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
        payload += run->stride;
    }
    return 1;
}

static size_t datagram_size(const struct camshaft_run *run, uint32_t at) {
    return run->header_size + (at + 1 < run->count ? run->payload_size : run->last_size) + TAG_SIZE;
}

static size_t payloads_size(const struct camshaft_run *run) {
    return (size_t)(run->count - 1) * run->payload_size + run->last_size;
}

static size_t datagrams_size(const struct camshaft_run *run) {
    return payloads_size(run) + (size_t)run->count * (run->header_size + TAG_SIZE);
}

/* Whether the run fits into what is reserved for one, and its datagrams into the number that tells the kernel their size. */
static int fits(const struct camshaft_run *run) {
    if (!run->count || run->count > MAX_MESSAGES) return 0;
    if (run->header_size > SCRATCH_SIZE || run->payload_size > SCRATCH_SIZE || run->last_size > SCRATCH_SIZE) return 0;
    return datagrams_size(run) <= SCRATCH_SIZE && (run->count == 1 || datagram_size(run, 0) <= UINT16_MAX);
}

/* `segment`: the size of each datagram but the last where there are several, else 0. */
static void add_message(struct camshaft_route *route, int viewer, int run, uint8_t *data, size_t size, uint16_t segment) {
    struct outgoing *out = &outgoing;
    struct iovec *part = &out->parts[out->used];
    struct msghdr *message = &out->messages[out->used].msg_hdr;
    *part = (struct iovec){data, size};
    *message = (struct msghdr){
        .msg_name = &route->address, .msg_namelen = route->address_size, .msg_iov = part, .msg_iovlen = 1};
    if (segment) {
        uint8_t *control = out->controls[out->used];
        memcpy(control, route->control, route->segment_size + route->local_size);
        memcpy(CMSG_DATA((struct cmsghdr *)control), &segment, sizeof segment);
        message->msg_control = control;
        message->msg_controllen = route->segment_size + route->local_size;
    } else if (route->local_size) {
        message->msg_control = route->control + route->segment_size;
        message->msg_controllen = route->local_size;
    }
    out->owners[out->used].viewer = viewer;
    out->owners[out->used].run = run;
    out->owners[out->used++].segmented = segment != 0;
    out->filled += size;
}

/* Whether what was refused is to be sent again, later or without GSO; anything else is lost, and the next one may not be. */
static int ends_turn(int code, int segmented) {
    return code == EAGAIN || (segmented && (code == EIO || code == EOPNOTSUPP || code == EINVAL || code == EMSGSIZE));
}

/* Without GSO a run is several messages: once the first of them has left, the rest is lost as it might be on any path, for
 * its sequence numbers must not be used for anything else. */
static int flush(int fd, int *sent, int *errors) {
    struct outgoing *out = &outgoing;
    int refused = 0, interrupted = 0;
    for (int done = 0; done < out->used;) {
        int taken = sendmmsg(fd, out->messages + done, (unsigned)(out->used - done), 0);
        if (taken > 0) {
            done += taken;
            continue;
        }
        if (errno == EINTR && interrupted++ < MAX_INTERRUPTS) continue; /* by a signal, before anything has left */
        int code = errno == EINTR ? EAGAIN : errno, viewer = out->owners[done].viewer, run = out->owners[done].run;
        int begun = done && out->owners[done - 1].viewer == viewer && out->owners[done - 1].run == run;
        errors[viewer] = code;
        refused++;
        if (ends_turn(code, out->owners[done].segmented)) {
            sent[viewer] = run + begun;
            while (done < out->used && out->owners[done].viewer == viewer) done++;
        } else {
            done++;
        }
    }
    out->used = 0;
    out->filled = 0;
    return refused;
}

/* Adds what has left to the counts of each lane. */
static void count(const struct camshaft_run *runs, struct camshaft_lane **lanes, const int *sent, int viewers) {
    int counted = 0; /* runs that these two are the sums of: those of the viewer before, as a rule of all */
    uint64_t packets = 0, octets = 0;
    for (int viewer = 0; viewer < viewers; viewer++) {
        if (sent[viewer] < counted) counted = 0, packets = 0, octets = 0;
        for (; counted < sent[viewer]; counted++) {
            packets += runs[counted].count;
            octets += payloads_size(&runs[counted]);
        }
        lanes[viewer]->packets += packets;
        lanes[viewer]->octets += octets;
    }
}

int camshaft_fan_out(const uint8_t *headers, const uint8_t *payloads, const struct camshaft_run *runs, int run_count,
                     int64_t first, struct camshaft_lane **lanes, struct camshaft_route **routes, int *sent, int *errors,
                     int viewers) {
    struct outgoing *out = &outgoing;
    int refused = 0, fd = -1;
    for (int at = 0; at < run_count; at++)
        if (!fits(&runs[at])) return -1;
    for (int viewer = 0; viewer < viewers; viewer++) {
        struct camshaft_route *route = routes[viewer];
        const uint8_t *header = headers;
        uint64_t number = (uint64_t)(first - lanes[viewer]->base);
        sent[viewer] = run_count;
        errors[viewer] = 0;
        for (int at = 0; at < run_count; at++) {
            const struct camshaft_run *run = &runs[at];
            int segmented = route->gso && run->count > 1;
            int messages = segmented ? 1 : (int)run->count;
            size_t size = datagrams_size(run);
            if (route->fd != fd || out->used + messages > MAX_MESSAGES || out->filled + size > SCRATCH_SIZE) {
                refused += flush(fd, sent, errors);
                fd = route->fd;
                if (sent[viewer] < run_count) break; /* it has ended this viewer's turn */
            }
            uint8_t *data = scratch + out->filled;
            if (!seal_run(run, header, payloads, lanes[viewer], number, data)) {
                errors[viewer] = EPROTO; /* the rest is lost */
                refused++;
                break;
            }
            if (segmented) {
                add_message(route, viewer, at, data, size, (uint16_t)datagram_size(run, 0));
            } else {
                for (uint32_t packet = 0; packet < run->count; packet++) {
                    add_message(route, viewer, at, data, datagram_size(run, packet), 0);
                    data += datagram_size(run, packet);
                }
            }
            header += (size_t)run->count * run->header_size;
            number += run->count;
        }
    }
    refused += flush(fd, sent, errors);
    count(runs, lanes, sent, viewers);
    return refused;
}
