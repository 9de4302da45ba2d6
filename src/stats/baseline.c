/* baseline.json: reading and writing. */
#include "stats/baseline.h"

#include <math.h>

#include "base/clock.h"

struct json *baseline_json(const struct baseline *b, struct arena *a)
{
    struct json *o = json_obj(a), *features = json_arr(a);
    json_set(a, o, "format", json_int(a, 1));
    json_set(a, o, "task", json_cstr(a, metric_task_name(b->task)));
    json_set(a, o, "rows", json_int(a, (int64_t)b->n_rows));
    json_set(a, o, "from", json_time(a, b->from_us));
    json_set(a, o, "to", json_time(a, b->to_us));
    json_set(a, o, "reference", json_cstr(a, b->reference));
    for (size_t i = 0; i < b->n_features; i++)
        json_add(a, features, hist_reference_json(&b->features[i], a));
    json_set(a, o, "features", features);
    if (b->score.n > 0)
        json_set(a, o, "score", hist_reference_json(&b->score, a));
    json_set(a, o, "metrics", b->metrics);
    if (!isnan(b->threshold))
        json_set(a, o, "threshold", json_num(a, b->threshold));
    if (!isnan(b->positive_rate))
        json_set(a, o, "positive_rate", json_num(a, b->positive_rate));
    return o;
}

enum err_code baseline_read(const struct json *v, struct arena *a, struct baseline *ret,
                            struct err *err)
{
    const struct json *features = json_get(v, "features"), *score = json_get(v, "score"),
                      *metrics = json_get(v, "metrics");
    struct baseline b = {.n_features = json_len(features), .reference = json_get_c(v, "reference")};
    if (json_get_int(v, "format", 0) != 1)
        return err_set(err, ERR_CORRUPT, "baseline: format 1 is the one that this program reads");
    if (!metric_task_from_name(json_get_str(v, "task"), &b.task))
        return err_set(err, ERR_CORRUPT, "baseline: task must be binary, multiclass or regression");
    b.n_rows = (uint64_t)json_get_int(v, "rows", 0);
    b.from_us = json_get_time(v, "from");
    b.to_us = json_get_time(v, "to");
    b.threshold = json_get_f64(v, "threshold", NAN);
    b.positive_rate = json_get_f64(v, "positive_rate", NAN);
    b.features = ARENA_NEW_N(a, struct hist_reference, b.n_features);
    b.metrics = metrics ? json_copy(a, metrics) : NULL;
    if (!b.features)
        return arena_err(a, err);
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < b.n_features; i++)
        rc = hist_reference_read(json_at(features, i), a, &b.features[i], err);
    if (rc == ERR_OK && score)
        rc = hist_reference_read(score, a, &b.score, err);
    if (rc == ERR_OK)
        *ret = b;
    return rc;
}

ptrdiff_t baseline_find(const struct baseline *b, struct str name)
{
    for (size_t i = 0; i < b->n_features; i++)
        if (str_is(name, b->features[i].name))
            return (ptrdiff_t)i;
    return -1;
}
