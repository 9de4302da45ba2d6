#include "release/counterfactual.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/vec.h"
#include "release/release.h"
#include "stats/perf.h"

#define LABELS_BYTES ((size_t)2 << 30)
#define RECORD_BYTES ((size_t)16 << 20)
#define KEY_BYTES    17 /* kind, then 16 bytes */

struct comparison {
    const struct counterfactual_order *o;
    struct runtime *runtime;
    struct runtime_scratch *scratch;
    struct arena labels; /* of the map */
    struct map *by_key;
    enum metric_task task;
    struct perf_window answered, other;
    uint64_t n, n_labelled, n_flips, n_failed, n_stale;
};

static void key_by_id(const uint8_t id[16], uint32_t row, char ret[KEY_BYTES])
{
    uint8_t k[16];

    record_key(id, row, k);
    ret[0] = 'i';
    memcpy(ret + 1, k, sizeof(k));
}

static void key_by_client(struct str client, uint32_t row, char ret[KEY_BYTES])
{
    struct hash128 h = hash128(client.p, client.n);
    uint64_t lo = h.lo ^ row;

    ret[0] = 'c';
    memcpy(ret + 1, &lo, sizeof(lo));
    memcpy(ret + 9, &h.hi, sizeof(h.hi));
}

static enum err_code label_keep(struct comparison *c, const struct label_record *l, struct err *err)
{
    static const uint8_t NONE[16];
    double *v = ARENA_NEW(&c->labels, double);
    char key[KEY_BYTES];

    if (!v)
        return arena_err(&c->labels, err);
    *v = label_number(l);
    if (memcmp(l->id, NONE, sizeof(NONE)) != 0)
        key_by_id(l->id, l->row, key);
    else if (l->client_id.n > 0)
        key_by_client(l->client_id, l->row, key);
    else
        return ERR_OK;
    return map_put(c->by_key, key, sizeof(key), v) ? ERR_OK : arena_err(&c->labels, err);
}

static enum err_code labels_read(struct comparison *c, struct err *err)
{
    struct label_reader *r = NULL;
    struct log_pos start = series_start(label_log_series(c->o->labels)), next;
    enum err_code code = label_reader_open(label_log_series(c->o->labels), &start, &r, err);
    bool is_there = code == ERR_OK;

    while (code == ERR_OK && is_there) {
        struct label_record l;
        code = label_reader_next(r, 0, &is_there, &l, &next, err);
        if (code == ERR_OK && is_there && l.name.n == 0 && str_is(l.endpoint, c->o->endpoint))
            code = label_keep(c, &l, err);
    }
    if (r)
        label_reader_close(r);
    return code;
}

static const double *label_of(const struct comparison *c, const struct prediction_record *r)
{
    char key[KEY_BYTES];
    const double *v;

    key_by_id(r->id, r->row, key);
    v = map_get(c->by_key, key, sizeof(key));
    if (v || r->client_id.n == 0)
        return v;
    key_by_client(r->client_id, r->row, key);
    return map_get(c->by_key, key, sizeof(key));
}

static bool is_wanted(const struct comparison *c, const struct prediction_record *r)
{
    int64_t at = c->o->is_replay && r->event_us != AT_US_NONE ? r->event_us : r->wall_us;

    if (!str_is(r->endpoint, c->o->endpoint) || (r->role != ROLE_LIVE && r->role != ROLE_CANARY) ||
        r->n_scores == 0)
        return false;
    if (r->status != RECORD_OK && r->status != RECORD_RESCUED)
        return false;
    return (c->o->from_us == AT_US_NONE || at >= c->o->from_us) &&
           (c->o->to_us == AT_US_NONE || at < c->o->to_us);
}

static double score_at(const struct prediction_record *r)
{
    return r->scores[r->n_scores == 2 ? 1 : 0];
}

static void compare_one(struct comparison *c, const struct prediction_record *r,
                        const struct record_schema *schema)
{
    struct runtime_answer ans;
    struct err none = ERR_INIT;
    const double *label = label_of(c, r);
    double mine = score_at(r), theirs;

    c->n++;
    runtime_begin(c->scratch);
    if (runtime_score_record(c->scratch, r, schema, &ans, &none) != ERR_OK || !ans.is_finite) {
        c->n_failed++;
        return;
    }
    c->n_stale += ans.features.is_default ? 1 : 0;
    theirs = (double)ans.scores[runtime_n_outputs(c->runtime) == 2 ? 1 : 0];
    c->n_flips +=
        isfinite(r->decision) && isfinite(ans.decision) && r->decision != ans.decision ? 1 : 0;
    perf_add_score(&c->answered, mine);
    perf_add_score(&c->other, theirs);
    if (!label || !isfinite(*label))
        return;
    c->n_labelled++;
    perf_add_label(&c->answered, c->task, mine, isfinite(r->decision) && r->decision != 0, *label);
    perf_add_label(&c->other, c->task, theirs, isfinite(ans.decision) && ans.decision != 0, *label);
}

static enum err_code records_read(struct comparison *c, struct err *err)
{
    struct log_reader *r = NULL;
    struct log_pos start = series_start(feedback_log_series(c->o->log)), next;
    enum err_code code = log_reader_open(feedback_log_series(c->o->log), &start, &r, err);
    bool is_there = code == ERR_OK;

    while (code == ERR_OK && is_there) {
        struct prediction_record rec;
        code = log_reader_next(r, 0, &is_there, &rec, &next, err);
        if (code == ERR_OK && is_there && is_wanted(c, &rec))
            compare_one(c, &rec, schema_store_get(feedback_log_schemas(c->o->log), rec.release));
        if (code == ERR_OK && c->o->is_cancelled && atomic_load(c->o->is_cancelled))
            code = err_set(err, ERR_CANCELLED, "cancelled");
    }
    if (r)
        log_reader_close(r);
    return code;
}

static struct json *metrics_json(const struct perf_window *w, enum metric_task task,
                                 struct arena *a)
{
    static const enum metric_id SHOWN[] = {
        METRIC_ROC_AUC, METRIC_LOG_LOSS,    METRIC_NORMALIZED_LOG_LOSS,
        METRIC_BRIER,   METRIC_CALIBRATION, METRIC_ACCURACY,
        METRIC_F1,      METRIC_RMSE,        METRIC_MAE};
    struct json *o = json_obj(a);

    for (size_t i = 0; i < ARRAY_LEN(SHOWN); i++)
        if (metric_info(SHOWN[i])->tasks & (1U << task))
            json_set(a, o, metric_info(SHOWN[i])->name,
                     json_num(a, perf_metric(w, task, SHOWN[i])));
    return o;
}

static struct json *comparison_json(const struct comparison *c, struct arena *a)
{
    struct json *o = json_obj(a);

    json_set(a, o, "endpoint", json_cstr(a, c->o->endpoint));
    json_set(a, o, "release", json_fmt(a, "r%lld", (long long)c->o->release));
    json_set(a, o, "from", json_time(a, c->o->from_us));
    json_set(a, o, "to", json_time(a, c->o->to_us));
    json_set(a, o, "requests", json_int(a, (int64_t)c->n));
    json_set(a, o, "labelled", json_int(a, (int64_t)c->n_labelled));
    json_set(a, o, "flips", json_int(a, (int64_t)c->n_flips));
    json_set(a, o, "not_scored", json_int(a, (int64_t)c->n_failed));
    json_set(a, o, "with_default_features", json_int(a, (int64_t)c->n_stale));
    json_set(a, o, "answered", metrics_json(&c->answered, c->task, a));
    return json_set(a, o, "other", metrics_json(&c->other, c->task, a));
}

enum err_code release_counterfactual(struct db *db, const struct counterfactual_order *o,
                                     struct arena *a, struct json **ret, struct err *err)
{
    struct comparison *c = calloc(1, sizeof(*c));
    struct runtime_source src = {.blobs = o->blobs,
                                 .cache_dir = str_printf(a, "%s/serving/models", o->home),
                                 .online = o->online};
    struct release r;
    enum err_code code;

    if (!c)
        return err_nomem(err);
    c->o = o;
    c->task = TASK_BINARY;
    arena_init(&c->labels, LABELS_BYTES);
    c->by_key = map_new(&c->labels);
    perf_init(&c->answered);
    perf_init(&c->other);
    code = c->by_key ? release_get(db, o->release, a, &r, err) : err_nomem(err);
    if (code == ERR_OK)
        code = runtime_load(&src, o->release, r.doc, &c->runtime, err);
    if (code == ERR_OK) {
        if (!isfinite(runtime_threshold(c->runtime)) && runtime_n_outputs(c->runtime) == 1)
            c->task = TASK_REGRESSION;
        c->scratch = runtime_scratch_new(c->runtime);
        code = c->scratch ? labels_read(c, err) : err_nomem(err);
    }
    if (code == ERR_OK)
        code = records_read(c, err);
    if (code == ERR_OK)
        *ret = comparison_json(c, a);
    runtime_scratch_free(c->scratch);
    runtime_unref(c->runtime);
    arena_fini(&c->labels);
    free(c);
    return code;
}
