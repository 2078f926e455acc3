/* SPDX-License-Identifier: MIT */
/*
 * Load for the network figures of bench/run: small UDP packets by sendmmsg / recvmmsg, and UDP
 * ping-pong. Every mode is bounded in time and stops by itself. Runs in the namespaces that
 * bench/run makes; uses nothing of the library.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define PAYLOAD 18 /* a 60-byte frame */
#define RTT_MAX 200000

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int udp(const char *address, int port, int bind_it)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), big = 8 << 20;
    struct timeval patience = {.tv_usec = 200000};
    if (fd < 0 || (address && inet_pton(AF_INET, address, &at.sin_addr) != 1)) {
        fprintf(stderr, "netload: bad address %s\n", address);
        exit(2);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof big);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    int e = bind_it ? bind(fd, (struct sockaddr *)&at, sizeof at)
                    : connect(fd, (struct sockaddr *)&at, sizeof at);
    if (e) {
        perror("netload: socket");
        exit(1);
    }
    return fd;
}

static void vectors(struct mmsghdr *m, struct iovec *v, char (*buf)[64], size_t size)
{
    memset(m, 0, BATCH * sizeof *m);
    for (int i = 0; i < BATCH; i++) {
        v[i] = (struct iovec){buf[i], size};
        m[i].msg_hdr.msg_iov = &v[i];
        m[i].msg_hdr.msg_iovlen = 1;
    }
}

static void blast(const char *address, int port, double seconds)
{
    struct mmsghdr m[BATCH];
    struct iovec v[BATCH];
    char buf[BATCH][64] = {{0}};
    int fd = udp(address, port, 0);
    unsigned long sent = 0;
    vectors(m, v, buf, PAYLOAD);
    for (double end = now() + seconds; now() < end;) {
        int n = sendmmsg(fd, m, BATCH, 0);
        if (n > 0)
            sent += (unsigned long)n;
        else if (errno != ECONNREFUSED && errno != ENOBUFS && errno != EAGAIN)
            break;
    }
    printf("%.0f\n", (double)sent / seconds);
}

/* Packets per second that arrived, between the first 0.2 s after the first packet and the end. */
static void sink(int port, double seconds)
{
    struct mmsghdr m[BATCH];
    struct iovec v[BATCH];
    char buf[BATCH][64];
    int fd = udp(NULL, port, 1);
    vectors(m, v, buf, sizeof buf[0]);
    double first = 0, last = 0, give_up = now() + seconds + 3;
    unsigned long got = 0;
    while (now() < give_up) {
        int n = recvmmsg(fd, m, BATCH, MSG_WAITFORONE, NULL);
        double t = now();
        if (n <= 0) {
            if (first)
                break;
            continue;
        }
        if (!first)
            first = t;
        if (t - first < 0.2)
            continue;
        if (t - first > seconds - 0.1)
            break;
        got += (unsigned long)n;
        last = t;
    }
    printf("%.0f\n", last > first + 0.2 ? (double)got / (last - first - 0.2) : 0.0);
}

static void echo(int port, double seconds)
{
    int fd = udp(NULL, port, 1);
    for (double end = now() + seconds; now() < end;) {
        char b[64];
        struct sockaddr_in from;
        socklen_t n = sizeof from;
        ssize_t got = recvfrom(fd, b, sizeof b, 0, (struct sockaddr *)&from, &n);
        if (got > 0)
            sendto(fd, b, (size_t)got, 0, (struct sockaddr *)&from, n);
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void ping_pong(const char *address, int port, double seconds)
{
    static double took[RTT_MAX];
    int fd = udp(address, port, 0), n = 0;
    char b[PAYLOAD] = {0};
    for (double end = now() + seconds; now() < end && n < RTT_MAX;) {
        double t = now();
        if (send(fd, b, sizeof b, 0) < 0)
            continue;
        if (recv(fd, b, sizeof b, 0) > 0)
            took[n++] = now() - t;
    }
    qsort(took, (size_t)n, sizeof *took, by_size);
    printf("%.2f\n", n ? took[n / 2] * 1e6 : 0.0);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    double seconds = argc > 1 ? atof(argv[argc - 1]) : 0;
    if (seconds <= 0 || seconds > 60)
        mode = "";
    if (!strcmp(mode, "blast") && argc == 5)
        blast(argv[2], atoi(argv[3]), seconds);
    else if (!strcmp(mode, "sink") && argc == 4)
        sink(atoi(argv[2]), seconds);
    else if (!strcmp(mode, "echo") && argc == 4)
        echo(atoi(argv[2]), seconds);
    else if (!strcmp(mode, "rtt") && argc == 5)
        ping_pong(argv[2], atoi(argv[3]), seconds);
    else {
        fprintf(stderr, "usage: netload blast|rtt ADDRESS PORT SECONDS | sink|echo PORT SECONDS "
                        "(seconds at most 60)\n");
        return 2;
    }
    return 0;
}
