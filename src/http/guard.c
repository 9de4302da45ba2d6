/* What every request must pass before its route sees it (decision 25): a known Host, no foreign Origin, and for a
 * mutation a content type that a web page cannot send across origins without being asked first. */
#include <strings.h>

#include "http/server_int.h"

static const char *const LOOPBACK_NAMES[] = {"localhost", "127.0.0.1", "[::1]"};

static struct str without_port(struct str host)
{
    size_t i = host.n;
    while (i > 0 && host.p[i - 1] >= '0' && host.p[i - 1] <= '9')
        i--;
    if (i > 0 && i < host.n && host.p[i - 1] == ':')
        host.n = i - 1;
    return host;
}

static bool same_name(struct str a, const char *b)
{
    return a.n == strlen(b) && strncasecmp(a.p, b, a.n) == 0;
}

static bool host_is_known(const struct http_options *opt, struct str host)
{
    struct str name = without_port(host);
    for (size_t i = 0; i < sizeof LOOPBACK_NAMES / sizeof *LOOPBACK_NAMES; i++)
        if (same_name(name, LOOPBACK_NAMES[i]))
            return true;
    if (opt->host && same_name(name, opt->host))
        return true;
    for (const char *const *h = opt->hosts; h && *h; h++)
        if (same_name(name, *h))
            return true;
    return false;
}

static bool is_mutation(const char *method)
{
    return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 &&
           strcmp(method, "OPTIONS") != 0;
}

static enum err_code origin_check(struct str origin, struct str host, struct err *err)
{
    ptrdiff_t at = str_find(origin, STR("://"));
    struct str authority = at < 0 ? STR_NONE : str_n(origin.p + at + 3, origin.n - (size_t)at - 3);
    if (authority.n == 0 || authority.n != host.n || strncasecmp(authority.p, host.p, host.n) != 0)
        return err_set(err, ERR_FORBIDDEN, "a page of %.*s may not call this server",
                       STR_ARG(origin));
    return ERR_OK;
}

static enum err_code type_check(const struct exchange *x, struct err *err)
{
    struct str type = http_header(&x->pub, "Content-Type");
    struct str rest = type, main_type = str_trim(str_split(&rest, ';'));
    if (main_type.n == 16 && strncasecmp(main_type.p, "application/json", 16) == 0)
        return ERR_OK;
    return err_set(err, ERR_MEDIA_TYPE,
                   "%s needs the header Content-Type: application/json, not %.*s", x->pub.method,
                   STR_ARG(type.n ? type : STR("none")));
}

enum err_code guard_check(const struct exchange *x, struct err *err)
{
    const struct http_options *opt = &x->server->opt;
    unsigned flags = x->pub.route ? x->pub.route->flags : 0;
    struct str host = http_header(&x->pub, "Host"), origin = http_header(&x->pub, "Origin");
    if (!(flags & HTTP_ANY_HOST) && !opt->is_behind_proxy && !host_is_known(opt, host))
        return err_set(err, ERR_FORBIDDEN,
                       "host %.*s is not a name of this server: use localhost, or start it with "
                       "that name as a host",
                       STR_ARG(host.n ? host : STR("(none)")));
    if (origin.p && origin_check(origin, host, err) != ERR_OK)
        return err->code;
    struct str coding = http_header(&x->pub, "Content-Encoding");
    if (coding.n && !(coding.n == 8 && strncasecmp(coding.p, "identity", 8) == 0))
        return err_set(err, ERR_MEDIA_TYPE,
                       "Content-Encoding %.*s is not understood: send the body as it is",
                       STR_ARG(coding));
    if (is_mutation(x->pub.method) && x->pub.route && !(flags & HTTP_ANY_TYPE))
        return type_check(x, err);
    return ERR_OK;
}
