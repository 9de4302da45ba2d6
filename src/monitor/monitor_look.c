/* What the monitor shows: windows, objectives, stored verdicts. */
#include <stdlib.h>

#include "base/check.h"
#include "monitor/monitor_int.h"

/* ---- objectives ---- */
struct slo_counter {
    const struct mon_endpoint *ep;
    size_t index;
    enum slo_kind kind;
};

static struct slo_count slo_count_of(void *arg, int64_t from_us, int64_t to_us)
{
    const struct slo_counter *c = arg;
    struct slo_count out = {0, 0};

    for (size_t i = c->ep->n_slo; i > 0; i--) {
        const struct slo_bucket *s = &c->ep->slo[i - 1];
        if (s->start_us + SLO_BUCKET_US <= from_us)
            break;
        if (s->start_us >= to_us)
            continue;
        out.bad += c->kind == SLO_AVAILABILITY ? s->errors : s->bad[c->index];
        out.good +=
            c->kind == SLO_AVAILABILITY ? s->n - s->errors : s->seen[c->index] - s->bad[c->index];
    }
    return out;
}

enum slo_severity monitor_slos(struct monitor *m, const char *endpoint, int64_t now_us,
                               struct arena *a, struct json **ret)
{
    struct json *list = json_arr(a);
    enum slo_severity worst = SLO_QUIET;
    struct mon_endpoint *ep;

    mutex_lock(&m->mutex);
    ep = mon_endpoint_find(m, endpoint);
    for (size_t i = 0; ep && i < ep->spec.n_slos; i++) {
        struct slo_counter c = {ep, i, ep->spec.slos[i].kind};
        struct json *doc;
        enum slo_severity s = slo_judge(&ep->spec.slos[i], slo_count_of, &c, now_us, a, &doc);
        worst = s > worst ? s : worst;
        json_add(a, list, doc);
    }
    mutex_unlock(&m->mutex);
    *ret = list;
    return worst;
}

void monitor_slo_sample(struct monitor *m, const char *endpoint, const char *slo, int64_t at_us,
                        bool is_good)
{
    struct mon_endpoint *ep;

    mutex_lock(&m->mutex);
    ep = mon_endpoint_find(m, endpoint);
    for (size_t i = 0; ep && i < ep->spec.n_slos; i++) {
        struct slo_bucket *s =
            strcmp(ep->spec.slos[i].name, slo) == 0 ? mon_slo_get(ep, at_us) : NULL;
        if (!s)
            continue;
        s->seen[i]++;
        s->bad[i] += is_good ? 0 : 1;
        s->is_dirty = true;
        m->telemetry.n_uncommitted++;
    }
    mutex_unlock(&m->mutex);
}

/* ---- as JSON ---- */
static struct json *perf_summary(const struct window *w, enum metric_task task, struct arena *a)
{
    static const enum metric_id SHOWN[] = {
        METRIC_ROC_AUC,     METRIC_LOG_LOSS, METRIC_NORMALIZED_LOG_LOSS,
        METRIC_CALIBRATION, METRIC_ECE,      METRIC_ACCURACY,
        METRIC_RMSE,        METRIC_MAE};
    struct json *o = json_obj(a);

    for (size_t i = 0; i < ARRAY_LEN(SHOWN); i++)
        if (metric_info(SHOWN[i])->tasks & (1U << task))
            json_set(a, o, metric_info(SHOWN[i])->name,
                     json_num(a, perf_metric(&w->perf, task, SHOWN[i])));
    return o;
}

static struct json *window_full(const struct mon_endpoint *ep, const struct window *w,
                                struct arena *a)
{
    struct json *o = window_json(w, a);
    const struct mon_release *r = ep->releases;

    while (r && r->number != w->release)
        r = r->next;
    if (r && w->perf.n > 0)
        json_set(a, o, "performance", perf_summary(w, r->task, a));
    if (ep->spec.cost_per_cpu_hour > 0 && w->n > 0)
        json_set(a, o, "cost_per_million",
                 json_num(a, (double)w->compute_ns / (double)w->n * 1e6 / 3.6e12 *
                                 ep->spec.cost_per_cpu_hour));
    return o;
}

enum err_code monitor_json(struct monitor *m, const char *endpoint, size_t n_windows,
                           struct arena *a, struct json **ret, struct err *err)
{
    struct json *o = json_obj(a), *windows = json_arr(a);
    struct mon_endpoint *ep;
    char pos[LOG_POS_TEXT_BYTES];

    mutex_lock(&m->mutex);
    ep = mon_endpoint_find(m, endpoint);
    for (size_t i = 0; ep && i < ep->n_windows; i++)
        if (i + n_windows >= ep->n_windows)
            json_add(a, windows, window_full(ep, ep->windows[i], a));
    log_pos_text(&m->record_pos, pos);
    json_set(a, o, "endpoint", json_cstr(a, endpoint));
    json_set(a, o, "windows", windows);
    json_set(a, o, "position", json_cstr(a, pos));
    json_set(a, o, "orphan_labels", json_int(a, ep ? (int64_t)ep->n_orphans : 0));
    json_set(a, o, "pending_labels", json_int(a, (int64_t)m->n_pending));
    json_set(a, o, "is_failing", json_bool(a, m->telemetry.is_failing));
    if (m->telemetry.is_failing)
        json_set(a, o, "problem", json_cstr(a, m->telemetry.problem));
    mutex_unlock(&m->mutex);
    *ret = o;
    return a->is_over_limit || a->is_out_of_memory ? arena_err(a, err) : ERR_OK;
}

/* ---- stored verdicts ---- */
struct verdict_query {
    const char *endpoint, *kind;
    int64_t limit;
    struct arena *a;
    struct json *list;
};

static enum err_code verdicts_read(struct db_tx *tx, void *arg, struct err *err)
{
    struct verdict_query *q = arg;
    struct db_rows *rows;
    enum err_code code = db_query(
        tx, &rows, err,
        "SELECT release, start_us, end_us, kind, name, verdict, doc FROM monitor_verdicts "
        "WHERE endpoint = ? AND (? = '' OR kind = ?) ORDER BY start_us DESC, kind, name LIMIT ?",
        "sssi", q->endpoint, q->kind, q->kind, q->limit);

    if (code != ERR_OK)
        return code;
    q->list = json_arr(q->a);
    while (code == ERR_OK && db_next(rows)) {
        struct json *o = json_obj(q->a), *doc;
        json_set(q->a, o, "release", json_fmt(q->a, "r%lld", (long long)db_i64(rows, 0)));
        json_set(q->a, o, "start", json_time(q->a, db_i64(rows, 1)));
        json_set(q->a, o, "end", json_time(q->a, db_i64(rows, 2)));
        json_set(q->a, o, "kind", json_str(q->a, db_str(rows, 3)));
        if (db_str(rows, 4).n > 0)
            json_set(q->a, o, "name", json_str(q->a, db_str(rows, 4)));
        json_set(q->a, o, "verdict", json_str(q->a, db_str(rows, 5)));
        code = json_read(db_str(rows, 6), q->a, &doc, err);
        if (code == ERR_OK)
            json_set(q->a, o, "evidence", doc);
        json_add(q->a, q->list, o);
    }
    if (db_done(rows, code == ERR_OK ? err : NULL) != ERR_OK && code == ERR_OK)
        return err->code;
    return code;
}

enum err_code monitor_verdicts(struct db *db, const char *endpoint, const char *kind, int64_t limit,
                               struct arena *a, struct json **ret, struct err *err)
{
    struct verdict_query q = {endpoint, kind ? kind : "", limit, a, NULL};

    if (db_read(db, verdicts_read, &q, err) != ERR_OK)
        return err->code;
    *ret = q.list;
    return ERR_OK;
}
