/* Looking at a request: headers, parameters, percent-encoding. */
#include <arpa/inet.h>
#include <strings.h>

#include "base/vec.h"
#include "http/server_int.h"

static const struct exchange *exchange_of(const struct http_request *r)
{
    return (const struct exchange *)r; /* pub is the first member */
}

struct str http_param(const struct http_request *r, const char *name)
{
    for (size_t i = 0; i < r->n_params; i++)
        if (str_is(r->params[i].name, name))
            return r->params[i].value;
    return STR_NONE;
}

struct str http_header(const struct http_request *r, const char *name)
{
    const struct exchange *x = exchange_of(r);
    size_t n = strlen(name);
    for (size_t i = 0; i < x->n_headers; i++)
        if (x->headers[i].name.n == n && strncasecmp(x->headers[i].name.p, name, n) == 0)
            return x->headers[i].value;
    return STR_NONE;
}

struct str http_bearer(const struct http_request *r)
{
    struct str v = http_header(r, "Authorization");
    if (v.n < 7 || strncasecmp(v.p, "Bearer ", 7) != 0)
        return STR_NONE;
    return str_trim(str_n(v.p + 7, v.n - 7));
}

bool http_secret_eq(struct str a, struct str b)
{
    unsigned char diff = a.n != b.n;
    for (size_t i = 0; i < a.n; i++)
        diff |= (unsigned char)(a.p[i] ^ (b.n ? b.p[i % b.n] : 1));
    return diff == 0;
}

struct str http_peer(struct http_request *r)
{
    struct exchange *x = (struct exchange *)r;
    const union MHD_ConnectionInfo *info =
        x->conn ? MHD_get_connection_info(x->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS) : NULL;
    char text[PEER_BYTES] = "";
    if (info && info->client_addr && info->client_addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)info->client_addr)->sin_addr,
                  text, sizeof text);
    else if (info && info->client_addr && info->client_addr->sa_family == AF_INET6)
        inet_ntop(AF_INET6,
                  &((const struct sockaddr_in6 *)(const void *)info->client_addr)->sin6_addr, text,
                  sizeof text);
    return str_c(str_dup(r->arena, str_c(text)));
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f')
        return (c | 32) - 'a' + 10;
    return -1;
}

enum err_code http_unescape(struct str s, bool is_query, struct arena *a, struct str *ret,
                            struct err *err)
{
    if (!s.n || (!memchr(s.p, '%', s.n) && !(is_query && memchr(s.p, '+', s.n)))) {
        *ret = s;
        return ERR_OK;
    }
    char *out = arena_alloc(a, s.n + 1);
    if (!out)
        return arena_err(a, err);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '+' && is_query) {
            out[n++] = ' ';
        } else if (s.p[i] != '%') {
            out[n++] = s.p[i];
        } else {
            int hi = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1,
                lo = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return err_set(err, ERR_PARSE, "broken percent escape at byte %zu of \"%.*s\"", i,
                               STR_ARG(s));
            out[n++] = (char)(hi * 16 + lo);
            i += 2;
        }
    }
    *ret = str_n(out, n);
    return ERR_OK;
}

void http_escape(struct str s, bool keep_slash, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
                        c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash);
        if (is_plain)
            buf_ch(out, c);
        else
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)c);
    }
}

enum err_code http_query_all(struct http_request *r, struct http_pair **ret, size_t *ret_n,
                             struct err *err)
{
    VEC(struct http_pair) v = {0};
    struct str rest = r->query.n ? r->query : STR_NONE;
    while (rest.p) {
        struct str value = str_split(&rest, '&'), name = str_split(&value, '=');
        if (name.n == 0)
            continue;
        struct http_pair *p = VEC_ADD(r->arena, &v);
        if (!p)
            return arena_err(r->arena, err);
        if (http_unescape(name, true, r->arena, &p->name, err) != ERR_OK ||
            http_unescape(value.p ? value : STR(""), true, r->arena, &p->value, err) != ERR_OK)
            return err->code;
    }
    *ret = v.p;
    *ret_n = v.n;
    return ERR_OK;
}

struct str http_query(struct http_request *r, const char *name)
{
    struct http_pair *pairs;
    size_t n;
    struct err err = ERR_INIT;
    if (http_query_all(r, &pairs, &n, &err) != ERR_OK)
        return STR_NONE;
    for (size_t i = 0; i < n; i++)
        if (str_is(pairs[i].name, name))
            return pairs[i].value;
    return STR_NONE;
}
