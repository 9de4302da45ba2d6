/* Mail by SMTP, through libcurl. Lines leave with CRLF whatever they came with. */
#include <stdlib.h>

#include "http/client_int.h"

#define MAIL_DEADLINE_MS 30000
#define MAIL_MAX_BYTES   (16u << 20)

struct mail_source {
    struct str rest;
};

static size_t on_read(char *out, size_t size, size_t n, void *arg)
{
    struct mail_source *src = arg;
    size_t take = src->rest.n < size * n ? src->rest.n : size * n;
    memcpy(out, src->rest.p, take);
    src->rest.p += take;
    src->rest.n -= take;
    return take;
}

static void crlf(struct str text, struct buf *out)
{
    struct str rest = text.n ? text : STR_NONE;
    while (rest.p) {
        struct str line = str_split(&rest, '\n');
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (rest.p || line.n) {
            buf_str(out, line);
            buf_c(out, "\r\n");
        }
    }
}

static enum err_code mail_perform(struct http_client *c, const struct mail *m,
                                  struct curl_slist *to, struct str text, struct err *err)
{
    char error_text[CURL_ERROR_SIZE];
    struct mail_source src = {text};
    client_reset(c, error_text);
    curl_easy_setopt(c->curl, CURLOPT_URL, m->url);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS,
                     (long)(m->deadline_ms ? m->deadline_ms : MAIL_DEADLINE_MS));
    curl_easy_setopt(c->curl, CURLOPT_MAIL_FROM, m->from);
    curl_easy_setopt(c->curl, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(c->curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(c->curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(c->curl, CURLOPT_READDATA, &src);
    CURLcode code = curl_easy_perform(c->curl);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
    return code == CURLE_OK ? ERR_OK : client_error(code, error_text, "mail", err);
}

enum err_code mail_send(struct http_client *c, const struct mail *m, struct err *err)
{
    struct curl_slist *to = NULL;
    struct buf text;
    buf_init(&text, MAIL_MAX_BYTES);
    crlf(m->message, &text);
    enum err_code code = buf_ok(&text, err);
    for (const char *const *t = m->to; code == ERR_OK && t && *t; t++) {
        struct curl_slist *l = curl_slist_append(to, *t);
        if (l)
            to = l;
        else
            code = err_nomem(err);
    }
    if (code == ERR_OK && !to)
        code = err_set(err, ERR_INVALID, "a mail needs at least one address to go to");
    if (code == ERR_OK)
        code = mail_perform(c, m, to, buf_view(&text), err);
    curl_slist_free_all(to);
    buf_fini(&text);
    return code;
}
