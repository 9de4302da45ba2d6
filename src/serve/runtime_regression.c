/* The regression set: before a release may get traffic it answers the rows that evaluation stored, to the bit. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "serve/runtime_int.h"

#define SET_BYTES_MAX (64u << 20)

static bool same_bits(float got, double want)
{
    float f = (float)want;
    return (isnan(got) && isnan(f)) || memcmp(&got, &f, sizeof f) == 0;
}

static enum err_code score_compare(const struct json *want, float got, size_t row, size_t output,
                                   struct err *err)
{
    double w;
    char a[NUM_TEXT_BYTES], b[NUM_TEXT_BYTES];
    if (!want || !json_as_f64(want, &w))
        return err_set(err, ERR_CORRUPT, "rows[%zu] has no score %zu", row, output);
    if (same_bits(got, w))
        return ERR_OK;
    num_f32(a, (float)w);
    num_f32(b, got);
    return err_set(err, ERR_REFUSED, "row %zu is answered %s, evaluation stored %s (output %zu)",
                   row, b, a, output);
}

static enum err_code row_check(struct runtime_scratch *s, const struct json *row, size_t i,
                               struct err *err)
{
    struct runtime_answer got;
    const struct json *scores = json_get(row, "scores"), *one = json_get(row, "score");
    int64_t at_us = json_get_time(row, "at");
    if (runtime_score_json(s, json_get(row, "request"), at_us == AT_US_NONE ? 0 : at_us, &got,
                           err) != ERR_OK)
        return err_wrap(err, "rows[%zu]", i);
    for (size_t k = 0; k < s->r->n_outputs; k++)
        if (score_compare(scores ? json_at(scores, k) : one, got.scores[k], i, k, err) != ERR_OK)
            return err->code;
    return ERR_OK;
}

static enum err_code rows_check(struct runtime *r, const struct json *rows, struct err *err)
{
    struct runtime_scratch *s = runtime_scratch_new(r);
    if (!s)
        return err_nomem(err);
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < json_len(rows); i++)
        code = row_check(s, json_at(rows, i), i, err);
    runtime_scratch_free(s);
    return code;
}

enum err_code runtime_regression_check(struct runtime *r, struct err *err)
{
    char path[PATH_BYTES];
    struct arena a;
    struct str text;
    struct json *doc;
    snprintf(path, sizeof path, "%s/pawl/regression.json", r->dir);
    if (!file_exists(path))
        return ERR_OK;
    arena_init(&a, RUNTIME_ARENA_BYTES);
    enum err_code code = file_read(path, SET_BYTES_MAX, &a, &text, err);
    if (code == ERR_OK)
        code = json_read(text, &a, &doc, err);
    if (code == ERR_OK && json_get_int(doc, "format", 0) != 1)
        code = err_set(err, ERR_UNSUPPORTED, "its format is not 1");
    if (code == ERR_OK) {
        code = rows_check(r, json_get(doc, "rows"), err);
        r->n_regression_rows = json_len(json_get(doc, "rows"));
    }
    arena_fini(&a);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "regression set (pawl/regression.json)");
}
