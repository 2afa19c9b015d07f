/* The floor of viewers by TCP: sends recorded messages to viewers at the pace at which they were recorded, and does
 * nothing else.
 *
 * usage: sockets MESSAGES VIEWERS
 *   MESSAGES  file, over and over: microseconds since the beginning (u32), length (u32), that many bytes
 *   VIEWERS   connections that are waited for; the port is written to standard output
 * All integers are in this machine's byte order. Ends with its standard input.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NOTSENT (64 << 10) /* as egress/wire/tcp.py has it */
#ifndef TCP_NOTSENT_LOWAT
#define TCP_NOTSENT_LOWAT 25
#endif

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void until(struct timespec begin, uint32_t microseconds) {
    begin.tv_sec += microseconds / 1000000;
    begin.tv_nsec += microseconds % 1000000 * 1000L;
    if (begin.tv_nsec >= 1000000000L) {
        begin.tv_sec += 1;
        begin.tv_nsec -= 1000000000L;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &begin, NULL)) {
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: sockets MESSAGES VIEWERS\n");
        return 2;
    }
    int count = atoi(argv[2]), file = open(argv[1], O_RDONLY), on = 1, notsent = NOTSENT;
    struct stat facts;
    if (file < 0 || fstat(file, &facts))
        fail(argv[1]);
    uint8_t *data = malloc(facts.st_size);
    int *viewers = calloc(count, sizeof *viewers);
    if (!data || !viewers || read(file, data, facts.st_size) != facts.st_size)
        fail(argv[1]);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) || listen(listener, count) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        fail("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (int i = 0; i < count; i++) {
        viewers[i] = accept(listener, NULL, NULL);
        if (viewers[i] < 0)
            fail("accept");
        setsockopt(viewers[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(viewers[i], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &notsent, sizeof notsent);
        fcntl(viewers[i], F_SETFL, O_NONBLOCK);
    }
    struct pollfd input = {.fd = 0, .events = POLLIN};
    for (;;) {
        struct timespec begin;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (off_t at = 0; at + 8 <= facts.st_size;) {
            uint32_t when, length;
            memcpy(&when, data + at, 4);
            memcpy(&length, data + at + 4, 4);
            until(begin, when);
            for (int i = 0; i < count; i++)
                send(viewers[i], data + at + 8, length, MSG_NOSIGNAL);
            at += 8 + length;
            if (poll(&input, 1, 0))
                return 0;
        }
    }
}
