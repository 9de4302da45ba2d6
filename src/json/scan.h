/* A pull scanner: JSON token by token, no tree, no allocation but for strings with escapes. For requests whose size is
 * numbers (tensors, metric batches); everything else reads a tree (json/json.h).
 *
 *     json_scan_init(&s, body, arena, 0);
 *     while (json_scan_next(&s, &t, err) == ERR_OK && t.kind != JSON_T_END) ...
 *
 * As strict as json_read: one document, UTF-8, depth at most JSON_DEPTH_MAX, numbers as the grammar has them; duplicate
 * keys are the caller's to refuse. Numbers are exact: up to 19 digits and a small power of ten need no library,
 * all others go through the one parser. Threads: one scanner, one thread. */
#ifndef PAWL_JSON_SCAN_H
#define PAWL_JSON_SCAN_H

#include "base/arena.h"
#include "json/json.h"

enum json_token_kind {
    JSON_T_OBJ,
    JSON_T_OBJ_END,
    JSON_T_ARR,
    JSON_T_ARR_END,
    JSON_T_KEY,
    JSON_T_STR,
    JSON_T_NUM,
    JSON_T_TRUE,
    JSON_T_FALSE,
    JSON_T_NULL,
    JSON_T_END, /* of the document */
    JSON_T_KIND_N
};

struct json_token {
    enum json_token_kind kind;
    struct str
        text; /* KEY, STR: decoded; borrowed from the input unless it had escapes (then in the arena) */
    bool is_int; /* NUM: an integer that fits; then i is it */
    int64_t i;
    double f; /* NUM: always */
};

enum json_scan_flag {
    JSON_SCAN_NAN = 1, /* takes NaN, Infinity and -Infinity as numbers: Python writes them */
};

enum json_scan_state {
    JSON_S_VALUE,
    JSON_S_FIRST_ITEM,
    JSON_S_FIRST_KEY,
    JSON_S_KEY,
    JSON_S_AFTER
};

struct json_scan {
    const char *start, *p, *end;
    struct arena *arena;
    unsigned flags;
    enum json_scan_state state;
    int depth;
    char stack[JSON_DEPTH_MAX]; /* '{' or '[' */
};

void json_scan_init(struct json_scan *s, struct str text, struct arena *a, unsigned flags);
/* ERR_PARSE names line and column. After an error the scanner stays where it is. */
enum err_code json_scan_next(struct json_scan *s, struct json_token *ret,
                             struct err *err) MUST_CHECK;
/* Passes over the next value, whatever it is. */
enum err_code json_scan_skip(struct json_scan *s, struct err *err) MUST_CHECK;
/* The next value is an array, perhaps nested, of numbers (true, false, null as 1, 0, NaN): its numbers in order, into
 * ret[0..max). ERR_TOO_LARGE when there are more; ERR_INVALID for anything else in it. */
enum err_code json_scan_numbers(struct json_scan *s, double *ret, size_t max, size_t *ret_n,
                                struct err *err) MUST_CHECK;

#endif
