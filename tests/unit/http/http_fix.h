/* A server of a few routes, and raw requests to it. */
#ifndef PAWL_TESTS_HTTP_FIX_H
#define PAWL_TESTS_HTTP_FIX_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.h"
#include "test.h"

static inline int socket_to(int port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval tv = {.tv_sec = 20};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

static inline void send_text(int fd, const char *text)
{
    size_t n = strlen(text);
    assert_true(send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n);
}

/* Reads until the peer closes, or the answer's announced length is there. Returns the status. */
static inline int read_answer(int fd, char *out, size_t max)
{
    size_t n = 0;
    for (;;) {
        char *head_end, *length;
        ssize_t r = recv(fd, out + n, max - 1 - n, 0);
        if (r <= 0)
            break;
        n += (size_t)r;
        out[n] = 0;
        head_end = strstr(out, "\r\n\r\n");
        length = strstr(out, "Content-Length: ");
        if (head_end && length && length < head_end &&
            n >= (size_t)(head_end - out) + 4 + (size_t)strtoul(length + 16, NULL, 10))
            break;
    }
    out[n] = 0;
    return n > 12 ? (int)strtol(out + 9, NULL, 10) : 0;
}

/* One request on a connection of its own. */
static inline int ask(int port, const char *text, char *out, size_t max)
{
    int fd = socket_to(port);
    send_text(fd, text);
    int status = read_answer(fd, out, max);
    close(fd);
    return status;
}

#endif
