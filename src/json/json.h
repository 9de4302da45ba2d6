/* JSON documents: an immutable-by-convention tree in an arena, read with jansson, written canonically.
 *
 * Integers are int64 and stay apart from floats; an object keeps insertion order for printing and is sorted
 * by key bytes in canonical form. Text is valid UTF-8. Our own NaN and infinities travel as the strings
 * "NaN", "Infinity", "-Infinity" (json_num, json_as_f64).
 * Building never fails loudly: with a full arena the builders return JSON_NOMEM, a shared null-like value that
 * json_write refuses with ERR_NOMEM, so that one check at the end suffices. Lookups accept NULL.
 * Threads: a tree may be read by many; built by one. */
#ifndef PAWL_JSON_JSON_H
#define PAWL_JSON_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/str.h"

enum json_type {
    JSON_NULL,
    JSON_BOOL,
    JSON_INT,
    JSON_REAL,
    JSON_STR,
    JSON_ARR,
    JSON_OBJ,
    JSON_TYPE_N
};

struct json_member;

struct json {
    enum json_type type;
    union {
        bool b;
        int64_t i;
        double f;
        struct str s;
        struct {
            struct json **items;
            size_t n, cap;
        } arr;
        struct {
            struct json_member *members;
            size_t n, cap;
        } obj;
    } u;
};

struct json_member {
    struct str key;
    struct json *val;
};

extern struct json JSON_NOMEM;

#define JSON_DEPTH_MAX 64

/* Reads one document (duplicate keys, NaN tokens, depth > 64, trailing text refused); the error names
 * line and column. */
enum err_code json_read(struct str text, struct arena *a, struct json **ret,
                        struct err *err) MUST_CHECK;

/* ---- building ---- */
struct json *json_null(struct arena *a);
struct json *json_bool(struct arena *a, bool v);
struct json *json_int(struct arena *a, int64_t v);
struct json *json_num(struct arena *a,
                      double v); /* whole or not: JSON_REAL; not finite: the string */
struct json *json_str(struct arena *a, struct str s);   /* copies */
struct json *json_cstr(struct arena *a, const char *s); /* copies; NULL -> null */
struct json *json_fmt(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct json *json_time(struct arena *a, int64_t at_us); /* RFC 3339; AT_US_NONE -> null */
struct json *json_hex(struct arena *a, const struct digest *d);
struct json *json_arr(struct arena *a);
struct json *json_obj(struct arena *a);
/* Append / set (replaces); return the container, so that calls chain. v NULL or null in set: key is left out. */
struct json *json_add(struct arena *a, struct json *arr, struct json *v);
struct json *json_set(struct arena *a, struct json *obj, const char *key, struct json *v);
/* As json_set but keeps an explicit null. */
struct json *json_set_null(struct arena *a, struct json *obj, const char *key);
void json_remove(struct json *obj, const char *key);
struct json *json_copy(struct arena *a, const struct json *v); /* deep */

/* ---- looking ---- */
const struct json *json_get(const struct json *obj, const char *key); /* NULL when absent */
const struct json *json_at(const struct json *arr, size_t i);         /* NULL beyond the end */
size_t json_len(const struct json *v); /* items or members; 0 for others */
/* By dotted path of keys and indices: "rollout.steps.0". */
const struct json *json_path(const struct json *v, const char *path);
struct str json_get_str(const struct json *obj, const char *key); /* STR_NONE unless a string */
const char *json_get_c(const struct json *obj,
                       const char *key); /* NULL unless a string; NUL-terminated */
int64_t json_get_int(const struct json *obj, const char *key,
                     int64_t or_); /* ints, and reals that are whole */
double json_get_f64(const struct json *obj, const char *key, double or_);
bool json_get_bool(const struct json *obj, const char *key, bool or_);
int64_t json_get_time(const struct json *obj, const char *key); /* AT_US_NONE unless a time text */
bool json_as_f64(const struct json *v, double *ret); /* int, real, "NaN", "Infinity", "-Infinity" */
bool json_eq(const struct json *a, const struct json *b);

/* Checked field access for request bodies: the error names the JSON pointer and what was expected. */
enum err_code json_need_str(const struct json *obj, const char *key, struct str *ret,
                            struct err *err) MUST_CHECK;
enum err_code json_need_int(const struct json *obj, const char *key, int64_t *ret,
                            struct err *err) MUST_CHECK;
enum err_code json_need_f64(const struct json *obj, const char *key, double *ret,
                            struct err *err) MUST_CHECK;

/* ---- writing ---- */
enum json_style { JSON_CANONICAL, JSON_COMPACT, JSON_PRETTY, JSON_STYLE_N };
/* CANONICAL: keys sorted by bytes, no white space, floats by num_f64, not-finite refused, null members refused.
 * COMPACT and PRETTY keep insertion order; PRETTY indents by two and ends in a newline. */
enum err_code json_write(const struct json *v, enum json_style style, struct buf *out,
                         struct err *err) MUST_CHECK;
void json_write_str(struct buf *out, struct str s); /* quoted and escaped */
/* Name of a document: digest_of_kind(kind, canonical bytes). */
enum err_code json_digest(const struct json *v, const char *kind, struct digest *ret,
                          struct err *err) MUST_CHECK;

#endif
