/* Fuzzes egress/native/fanout.c within what egress/native/__init__.py promises it: buffers of exactly the sizes that the
 * runs say, one route a lane. The kernel is played here and refuses as the input says.
 *
 * With -DREPLAY it is a program that runs the files it is given. */
#define _GNU_SOURCE
#include <openssl/evp.h>
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <sys/socket.h>

static int play_kernel(int fd, struct mmsghdr *messages, unsigned count, int flags);
static int touch_and_encrypt(EVP_CIPHER_CTX *context, unsigned char *to, int *written, const unsigned char *from, int size);
#define sendmmsg play_kernel
#define EVP_EncryptUpdate touch_and_encrypt
#include "../../../egress/native/fanout.c"
#undef EVP_EncryptUpdate

#define MOST_RUNS 6
#define MOST_VIEWERS 6

static const uint8_t *input;
static size_t left;
static volatile uint8_t sum;

static unsigned next_byte(void) {
    if (!left) return 0;
    left--;
    return *input++;
}

/* Every byte must be ours. The sanitizer is asked for all of them at once: reading each took nearly all of the time. */
static void touch(const void *from, size_t size) {
    const uint8_t *bad = size ? __asan_region_is_poisoned((void *)from, size) : NULL;
    if (bad) sum ^= *(const volatile uint8_t *)bad; /* its report is of this read */
}

/* OpenSSL is not built for the sanitizers: what it is going to read and write is looked at here first. */
static int touch_and_encrypt(EVP_CIPHER_CTX *context, unsigned char *to, int *written, const unsigned char *from, int size) {
    if (size > 0) {
        touch(from, (size_t)size);
        if (to) touch(to, (size_t)size);
    }
    return EVP_EncryptUpdate(context, to, written, from, size);
}

static int play_kernel(int fd, struct mmsghdr *messages, unsigned count, int flags) {
    static const int codes[] = {EAGAIN, EIO, EOPNOTSUPP, EINVAL, EMSGSIZE, ENETUNREACH, EPERM, EINTR};
    (void)fd, (void)flags;
    for (unsigned at = 0; at < count; at++) { /* every byte that is to be sent must be ours to read */
        struct msghdr *message = &messages[at].msg_hdr;
        touch(message->msg_iov->iov_base, message->msg_iov->iov_len);
        touch(message->msg_control, message->msg_controllen);
        touch(message->msg_name, message->msg_namelen);
    }
    unsigned answer = next_byte();
    if (answer & 1) {
        errno = codes[answer >> 1 & 7];
        return -1;
    }
    unsigned taken = answer >> 1 & 0x3f;
    return (int)(taken && taken < count ? taken : count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input = data;
    left = size;
    struct camshaft_run runs[MOST_RUNS];
    int run_count = (int)(next_byte() % (MOST_RUNS + 1)), viewers = (int)(next_byte() % (MOST_VIEWERS + 1));
    size_t headers_size = 0, payloads = 0;
    for (int at = 0; at < run_count; at++) {
        unsigned how = next_byte();
        runs[at].count = 1 + (how & 0x80 ? next_byte() : next_byte() % 8);
        runs[at].header_size = how & 1 ? 20 : 12;
        runs[at].payload_size = next_byte() * (how & 2 ? 8 : 1);
        runs[at].last_size = how & 4 ? next_byte() : runs[at].payload_size;
        if (runs[at].count == 1) runs[at].payload_size = runs[at].last_size;
        runs[at].payload_at = (uint32_t)payloads;
        runs[at].stride = runs[at].payload_size;
        runs[at].last_at = (uint32_t)payloads + (runs[at].count - 1) * runs[at].payload_size;
        headers_size += (size_t)runs[at].count * runs[at].header_size;
        payloads += payloads_size(&runs[at]);
    }
    uint8_t *header = calloc(headers_size ? headers_size : 1, 1), *payload = calloc(payloads ? payloads : 1, 1);
    struct camshaft_lane lanes[MOST_VIEWERS], *lane_of[MOST_VIEWERS];
    struct camshaft_route *routes[MOST_VIEWERS];
    struct camshaft_cipher *ciphers[MOST_VIEWERS];
    int sent[MOST_VIEWERS], errors[MOST_VIEWERS];
    int64_t first = (int64_t)next_byte() << 8 | next_byte();
    uint8_t key[32] = {1}, address[16] = {127, 0, 0, 1}, local[16] = {127, 0, 0, 1};
    for (int at = 0; at < viewers; at++) {
        unsigned how = next_byte();
        ciphers[at] = camshaft_cipher_new(key, how & 1 ? 32 : 16);
        lanes[at] = (struct camshaft_lane){.cipher = ciphers[at], .base = (int64_t)(how >> 6)};
        lane_of[at] = &lanes[at];
        routes[at] = camshaft_route_new(1 + (how >> 5 & 1), how & 2, how & 4 ? AF_INET6 : AF_INET, address, 9, 0, 0, local,
                                        how & 8 ? 0 : how & 4 ? 16 : 4);
    }
    int refused = camshaft_fan_out(header, payload, runs, run_count, first, lane_of, routes, sent, errors, viewers);
    for (int at = 0; at < viewers; at++) {
        if (refused >= 0 && (sent[at] < 0 || sent[at] > run_count)) abort();
        if (refused == 0 && (sent[at] != run_count || errors[at])) abort();
        if (refused >= 0 && errors[at] == EINTR) abort(); /* a signal is no refusal */
        camshaft_cipher_free(ciphers[at]);
        camshaft_route_free(routes[at]);
    }
    free(header);
    free(payload);
    return 0;
}

#include "replay.h"
