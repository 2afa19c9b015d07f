/* The floor: encrypts and sends prepared RTP packets to viewers at the camera's pace, and does nothing else.
 *
 * usage: floor GSO PACKETS SECONDS ADDRESS:PORT...
 *   GSO      1: one sendmsg with UDP_SEGMENT for each run of equal packets (as many as the kernel takes);
 *            0: one sendto for each packet
 *   PACKETS  file: key (16 bytes), salt (12), clock ticks a second (u32), then units, over and over:
 *            timestamp in ticks (u32), count (u32), then count times: marker (u8), length (u16), payload
 *   ADDRESS:PORT  of each viewer, IPv4; its SSRC is its port
 * All integers are in this machine's byte order. Writes the number of packets sent to standard output at the end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define HEADER 12
#define TAG 16
#define MAX_SEGMENTS 60
#define MAX_BYTES 65000

struct packet {
    uint16_t length;
    uint8_t marker;
    const uint8_t *payload;
};
struct unit {
    uint32_t ticks, count;
    struct packet *packets;
};
struct viewer {
    struct sockaddr_in to;
    uint32_t ssrc, sequence;
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

static uint8_t *read_file(const char *name, size_t *size) {
    FILE *file = fopen(name, "rb");
    if (!file) die(name);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(*size);
    if (!data || fread(data, 1, *size, file) != *size) die(name);
    fclose(file);
    return data;
}

static void send_run(int sock, const struct viewer *viewer, uint8_t *data, size_t size, uint16_t segment) {
    struct iovec part = {data, size};
    char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
    struct msghdr message = {(void *)&viewer->to, sizeof viewer->to, &part, 1, NULL, 0, 0};
    if (size > segment) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *option = CMSG_FIRSTHDR(&message);
        option->cmsg_level = SOL_UDP;
        option->cmsg_type = UDP_SEGMENT;
        option->cmsg_len = CMSG_LEN(sizeof(uint16_t));
        memcpy(CMSG_DATA(option), &segment, sizeof segment);
    }
    if (sendmsg(sock, &message, 0) < 0 && errno != ECONNREFUSED) die("sendmsg");
}

static void send_unit(int sock, EVP_CIPHER_CTX *cipher, const uint8_t *salt, const struct unit *unit, uint32_t timestamp,
                      struct viewer *viewer, int gso) {
    static uint8_t out[MAX_BYTES + 4096];
    size_t used = 0;
    unsigned run = 0;
    uint16_t segment = 0;
    for (uint32_t i = 0; i < unit->count; i++) {
        const struct packet *packet = &unit->packets[i];
        uint16_t size = HEADER + packet->length + TAG;
        if (run && (!gso || size > segment || run == MAX_SEGMENTS || used + size > MAX_BYTES)) {
            send_run(sock, viewer, out, used, segment);
            used = run = 0;
        }
        if (!run) segment = size;
        uint8_t *at = out + used, iv[12];
        uint16_t sequence = htons((uint16_t)viewer->sequence);
        uint32_t stamp = htonl(timestamp), ssrc = htonl(viewer->ssrc), index = htonl(viewer->sequence);
        at[0] = 0x80;
        at[1] = 96 | packet->marker << 7;
        memcpy(at + 2, &sequence, 2);
        memcpy(at + 4, &stamp, 4);
        memcpy(at + 8, &ssrc, 4);
        memset(iv, 0, sizeof iv); /* RFC 7714 8.1: 16 zero bits, SSRC, ROC, sequence number, XOR salt */
        memcpy(iv + 2, &ssrc, 4);
        memcpy(iv + 8, &index, 4);
        for (int b = 0; b < 12; b++) iv[b] ^= salt[b];
        int n;
        EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, iv);
        EVP_EncryptUpdate(cipher, NULL, &n, at, HEADER);
        EVP_EncryptUpdate(cipher, at + HEADER, &n, packet->payload, packet->length);
        EVP_EncryptFinal_ex(cipher, at + HEADER + n, &n);
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG, at + HEADER + packet->length);
        viewer->sequence++;
        used += size;
        run++;
        if (size < segment) { /* only the last of a run may be smaller */
            send_run(sock, viewer, out, used, segment);
            used = run = 0;
        }
    }
    if (run) send_run(sock, viewer, out, used, segment);
}

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    int gso = atoi(argv[1]), count = argc - 4;
    size_t size;
    uint8_t *data = read_file(argv[2], &size), *at = data + 32, *end = data + size;
    uint32_t rate;
    memcpy(&rate, data + 28, 4);
    struct unit *units = calloc(size / 8 + 1, sizeof *units);
    size_t total = 0;
    while (at < end) {
        struct unit *unit = &units[total++];
        memcpy(&unit->ticks, at, 4);
        memcpy(&unit->count, at + 4, 4);
        at += 8;
        unit->packets = calloc(unit->count, sizeof *unit->packets);
        for (uint32_t i = 0; i < unit->count; i++) {
            unit->packets[i].marker = at[0];
            memcpy(&unit->packets[i].length, at + 1, 2);
            unit->packets[i].payload = at + 3;
            at += 3 + unit->packets[i].length;
        }
    }
    struct viewer *viewers = calloc((size_t)count, sizeof *viewers);
    for (int i = 0; i < count; i++) {
        char *port = strchr(argv[4 + i], ':');
        if (!port) return 2;
        *port++ = 0;
        viewers[i].to.sin_family = AF_INET;
        viewers[i].to.sin_port = htons((uint16_t)atoi(port));
        viewers[i].ssrc = (uint32_t)atoi(port);
        if (!inet_aton(argv[4 + i], &viewers[i].to.sin_addr)) return 2;
    }
    int sock = socket(AF_INET, SOCK_DGRAM, 0), buffer = 16 << 20;
    if (sock < 0) die("socket");
    setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, data, NULL);

    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    uint64_t packets = 0, span = (uint64_t)units[total - 1].ticks + units[1].ticks - units[0].ticks;
    double seconds = atof(argv[3]);
    for (uint64_t i = 0;; i++) {
        const struct unit *unit = &units[i % total];
        uint64_t ticks = i / total * span + unit->ticks;
        double due = (double)ticks / rate;
        clock_gettime(CLOCK_MONOTONIC, &now);
        double elapsed = (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9;
        if (elapsed > seconds) break;
        if (due > elapsed) {
            struct timespec wait = {(time_t)(due - elapsed), 0};
            wait.tv_nsec = (long)((due - elapsed - (double)wait.tv_sec) * 1e9);
            nanosleep(&wait, NULL);
        }
        for (int v = 0; v < count; v++) send_unit(sock, cipher, data + 16, unit, (uint32_t)ticks, &viewers[v], gso);
        packets += (uint64_t)unit->count * (uint64_t)count;
    }
    printf("%llu\n", (unsigned long long)packets);
    return 0;
}
