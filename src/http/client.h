/* HTTP client (libcurl): a call with a deadline, JSON or bytes, files streamed both ways, bearer token, SigV4.
 * Also the one door to SMTP, which is libcurl's too.
 *
 *     struct http_call c = {.method = "GET", .url = url, .bearer = token, .deadline_ms = 5000};
 *     struct http_reply re;
 *     if (http_call(client, &c, arena, &re, err) == ERR_OK && re.status == 200) ...
 *
 * Errors are for calls that got no answer (ERR_UNAVAILABLE: cannot connect or lost; ERR_TIMEOUT; ERR_TOO_LARGE); an answer of any status
 * is ERR_OK. Threads: one client per thread (it keeps connections alive); http_client_open is thread-safe. */
#ifndef PAWL_HTTP_CLIENT_H
#define PAWL_HTTP_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "json/json.h"

struct http_client;

enum err_code http_client_open(struct http_client **ret, struct err *err) MUST_CHECK;
void http_client_close(struct http_client *c); /* NULL is fine */

struct http_sigv4 {
    const char *region, *service;             /* "us-east-1", "s3" */
    const char *key, *secret, *session_token; /* token may be NULL */
};

struct http_call {
    const char *method; /* NULL: GET, or POST with a body */
    const char *url;
    const char *bearer;         /* may be NULL */
    const char *content_type;   /* NULL: application/json when there is a body */
    const char *const *headers; /* NULL-terminated "Name: value"; may be NULL */
    struct str body;            /* or: */
    const char *body_path;      /* a file, streamed */
    const char *
        save_path; /* a 2xx body goes to this new file instead of memory (removed again on error) */
    const struct http_sigv4 *sigv4; /* query parameters must be sorted by the caller */
    const char *unix_socket;        /* may be NULL */
    int64_t deadline_ms; /* of the whole call; 0: 30 s; < 0: none, but 60 s without a byte end it */
    size_t reply_max_bytes;          /* 0: 64 MiB */
    bool follow;                     /* redirects, at most 5, http and https only */
    const atomic_bool *is_cancelled; /* may be NULL; ERR_CANCELLED within a second */
};

struct http_reply {
    int status;
    struct str body;          /* in the arena, NUL-terminated behind */
    const char *content_type; /* may be NULL */
    const char *etag;         /* without quotes; may be NULL */
    int64_t save_bytes;
    struct str headers; /* as received, "Name: value\r\n" each */
};

enum err_code http_call(struct http_client *c, const struct http_call *call, struct arena *a,
                        struct http_reply *ret, struct err *err) MUST_CHECK;
/* Value of a header of the reply; STR_NONE when absent. */
struct str http_reply_header(const struct http_reply *r, const char *name);

/* JSON out, JSON in. A status of 400 or more becomes an error: code from "error_code" or the status, sentence from
 * "message" or "error". body NULL: GET. *ret may be NULL for an empty answer. */
enum err_code http_json(struct http_client *c, const struct http_call *call,
                        const struct json *body, struct arena *a, struct json **ret,
                        struct err *err) MUST_CHECK;

struct mail {
    const char *url; /* smtp://host:port or smtps://…, user:password@ allowed */
    const char *from;
    const char *const *to; /* NULL-terminated */
    struct str message;    /* headers, empty line, text; lines end in LF or CRLF */
    int64_t deadline_ms;   /* 0: 30 s */
};
enum err_code mail_send(struct http_client *c, const struct mail *m, struct err *err) MUST_CHECK;

#endif
