/* Pull reader for model files: one interface over JSON text and Universal Binary JSON.
 *
 * A tree of values would cost forty bytes and a pointer for every number of a model; pulling costs
 * nothing, keeps float32 exact (a decimal is rounded once, to float32) and lets a typed UBJSON
 * array be read as it lies. The caller asks for what it expects; anything else is an error that
 * names the byte. */
#ifndef PAWL_MODEL_DOC_H
#define PAWL_MODEL_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define DOC_DEPTH_MAX 32

enum doc_kind { DOC_OBJECT, DOC_ARRAY, DOC_STRING, DOC_NUMBER, DOC_BOOL, DOC_NULL, DOC_KIND_N };

struct doc_number {
    bool is_int;
    int64_t i;
    float f; /* always set */
};

struct doc_frame {
    bool is_object, is_counted, is_first;
    char elem_type; /* UBJSON: type of every element, 0 = each has its own */
    int64_t n_left; /* UBJSON counted containers */
};

struct doc;

struct doc_ops {
    enum err_code (*peek)(struct doc *d, enum doc_kind *ret, struct err *err);
    enum err_code (*enter)(struct doc *d, bool is_object, struct err *err);
    /* Moves to the next element of the innermost container; *ret_more false at its end, which is
     * consumed. */
    enum err_code (*next)(struct doc *d, struct str *ret_key, bool *ret_more, struct err *err);
    enum err_code (*string)(struct doc *d, struct str *ret, struct err *err);
    enum err_code (*number)(struct doc *d, struct doc_number *ret, struct err *err);
    enum err_code (*boolean)(struct doc *d, bool *ret, struct err *err);
    enum err_code (*null)(struct doc *d, struct err *err);
};

struct doc {
    const struct doc_ops *ops;
    const char *start, *p, *end; /* *end is NUL */
    struct arena *arena;         /* for strings with escapes and arrays */
    struct doc_frame frames[DOC_DEPTH_MAX];
    size_t n_frames;
    char next_type; /* UBJSON: marker of the value in hand, 0 = not read yet */
};

void doc_init_json(struct doc *d, struct str text, struct arena *a);
void doc_init_ubjson(struct doc *d, struct str bytes, struct arena *a);

enum err_code doc_peek(struct doc *d, enum doc_kind *ret, struct err *err) MUST_CHECK;
enum err_code doc_enter_object(struct doc *d, struct err *err) MUST_CHECK;
enum err_code doc_enter_array(struct doc *d, struct err *err) MUST_CHECK;
enum err_code doc_next(struct doc *d, struct str *ret_key, bool *ret_more,
                       struct err *err) MUST_CHECK;
enum err_code doc_string(struct doc *d, struct str *ret, struct err *err) MUST_CHECK;
enum err_code doc_skip(struct doc *d, struct err *err) MUST_CHECK;

/* A number or a string that holds one (parameters are written as strings). */
enum err_code doc_int_text(struct doc *d, int64_t *ret, struct err *err) MUST_CHECK;

/* Arrays in the arena; bools are taken as 0 and 1; more than max elements is ERR_LIMIT. */
enum err_code doc_floats(struct doc *d, size_t max, float **ret, size_t *ret_n,
                         struct err *err) MUST_CHECK;
enum err_code doc_ints(struct doc *d, size_t max, int64_t **ret, size_t *ret_n,
                       struct err *err) MUST_CHECK;
enum err_code doc_strings(struct doc *d, size_t max, struct str **ret, size_t *ret_n,
                          struct err *err) MUST_CHECK;

/* Decimal text -> float32, rounded once. False when it is not a number. */
bool doc_parse_f32(struct str s, float *ret);

/* "byte 12: ..." */
enum err_code doc_err(const struct doc *d, struct err *err, const char *what) MUST_CHECK;
enum err_code doc_push(struct doc *d, struct doc_frame f, struct err *err) MUST_CHECK;

#endif
