#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"

#define BUF_FIRST_BYTES 256

void buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf){.max = max_bytes};
}

void buf_fini(struct buf *b)
{
    if (!b)
        return;
    free(b->p);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->is_failed = false;
    b->is_out_of_memory = false;
    if (b->p)
        b->p[0] = '\0';
}

/* Room for n more bytes and a NUL; false (and sticky) when the maximum or the memory ends. */
static bool buf_room(struct buf *b, size_t n)
{
    if (b->is_failed)
        return false;
    if (n > b->max || b->n > b->max - n) {
        b->is_failed = true;
        return false;
    }
    size_t need = b->n + n + 1;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap : BUF_FIRST_BYTES;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    char *p = realloc(b->p, cap);
    if (!p) {
        b->is_failed = true;
        b->is_out_of_memory = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || !buf_room(b, n))
        return;
    memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void buf_str(struct buf *b, struct str s)
{
    buf_put(b, s.p, s.n);
}

void buf_c(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_ch(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n > 0 && buf_room(b, (size_t)n)) {
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

enum err_code buf_ok(const struct buf *b, struct err *err)
{
    if (!b->is_failed)
        return ERR_OK;
    if (b->is_out_of_memory)
        return err_nomem(err);
    return err_set(err, ERR_TOO_LARGE, "text grows over its limit of %zu bytes", b->max);
}

void buf_quote(struct buf *b, struct str s)
{
    size_t done = 0;
    buf_ch(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_put(b, s.p + done, i - done);
        done = i + 1;
        if (c == '\n')
            buf_c(b, "\\n");
        else if (c == '\t')
            buf_c(b, "\\t");
        else if (c == '\r')
            buf_c(b, "\\r");
        else if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else
            buf_printf(b, "\\u%04x", c);
    }
    buf_put(b, s.p + done, s.n - done);
    buf_ch(b, '"');
}
