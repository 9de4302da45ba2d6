/* Text: borrowed slices (struct str), growing buffers with a maximum (struct buf), and the one family of
 * checked parsers and number writers. The locale is never consulted.
 *
 * A struct str owns nothing and need not end in NUL. A struct buf owns its bytes; its first failure is
 * sticky: append freely, then ask buf_ok() once. Threads: none of this is shared. */
#ifndef PAWL_BASE_STR_H
#define PAWL_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

struct arena;

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_NONE     ((struct str){NULL, 0})
#define STR_ARG(s)   (int)(s).n, (s).p /* for "%.*s" */

static inline struct str str_c(const char *s)
{
    return (struct str){s, s ? strlen(s) : 0};
}
static inline struct str str_n(const char *p, size_t n)
{
    return (struct str){p, n};
}
static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool str_is(struct str a, const char *b)
{
    return str_eq(a, str_c(b));
}
int str_cmp(struct str a, struct str b); /* by bytes, shorter first */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
struct str str_trim(struct str s);                 /* ASCII blanks off both ends */
ptrdiff_t str_find(struct str s, struct str what); /* index or -1 */
/* Cuts *rest at the first `sep`; returns the part before it. At the end *rest.p is NULL. */
struct str str_split(struct str *rest, char sep);
bool str_utf8_valid(struct str s);
/* Bytes of the character that s begins with; 0 when it is malformed. s.n > 0. */
size_t str_utf8_first(struct str s);
/* Levenshtein distance, both at most 64 bytes (else 64): for "did you mean". */
unsigned str_distance(struct str a, struct str b);
/* The name in names[n] nearest to s, or NULL when none is near enough to suggest. */
const char *str_nearest(struct str s, const char *const *names, size_t n);

/* Copies in an arena; NULL when the arena is full. The copy ends in NUL. */
char *str_dup(struct arena *a, struct str s);
char *str_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

struct buf {
    char *p; /* heap, NUL-terminated when n > 0; owner: the buf */
    size_t n, cap, max;
    bool is_failed, is_out_of_memory;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_fini(struct buf *b);  /* accepts a zeroed buf */
void buf_reset(struct buf *b); /* empties, keeps the memory */
void buf_put(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, struct str s);
void buf_c(struct buf *b, const char *s);
void buf_ch(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
/* As a JSON string, quoted and escaped; the bytes are taken as UTF-8 as they are. */
void buf_quote(struct buf *b, struct str s);
/* ERR_OK, or ERR_TOO_LARGE / ERR_NOMEM for the first append that failed. */
enum err_code buf_ok(const struct buf *b, struct err *err) MUST_CHECK;
static inline struct str buf_view(const struct buf *b)
{
    return (struct str){b->n ? b->p : "", b->n};
}

/* ---- numbers as text: one writer, one parser (docs/internals/formats.md) ---- */
#define NUM_TEXT_BYTES 32
/* Shortest text that reads back the same; "NaN", "Infinity", "-Infinity" for the others; a whole number has
 * no point ("3"). Returns its length; out is NUL-terminated. */
size_t num_f64(char out[NUM_TEXT_BYTES], double v);
size_t num_f32(char out[NUM_TEXT_BYTES], float v);
size_t num_i64(char out[NUM_TEXT_BYTES], int64_t v);

/* The whole of s must be the thing; ERR_PARSE / ERR_RANGE with a sentence that quotes s. */
enum err_code parse_i64(struct str s, int64_t *ret, struct err *err) MUST_CHECK;
enum err_code parse_u64(struct str s, uint64_t *ret, struct err *err) MUST_CHECK;
enum err_code parse_f64(struct str s, double *ret,
                        struct err *err) MUST_CHECK; /* takes NaN, Infinity */
/* "36h", "10m", "1d", "90s", "250ms", "2w"; a bare number is refused. Microseconds, >= 0. */
enum err_code parse_duration_us(struct str s, int64_t *ret_us, struct err *err) MUST_CHECK;
/* "10KB", "64MiB", "2GB", "512". Bytes. */
enum err_code parse_size_bytes(struct str s, int64_t *ret, struct err *err) MUST_CHECK;
/* "1%", "0.2 %" or a plain ratio "0.01"; as a ratio. */
enum err_code parse_ratio(struct str s, double *ret, struct err *err) MUST_CHECK;
/* "true" / "false". */
enum err_code parse_bool(struct str s, bool *ret, struct err *err) MUST_CHECK;
/* A duration as people write it: "36h", "1d12h", "250ms". */
size_t duration_text(char out[NUM_TEXT_BYTES], int64_t us);

#endif
