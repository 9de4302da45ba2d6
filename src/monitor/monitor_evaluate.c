/* Judging windows: drift when one closes, performance when it is final, starvation when labels stay away. */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "monitor/monitor_int.h"

#define DRIFT_SHARE_MIN 0.9
#define DRIFT_LATE_MAX  0.1 /* of a window's length */

struct evaluation {
    struct monitor *m;
    struct mon_endpoint *ep;
    int64_t now_us, live;
    monitor_event_fn fn;
    void *arg;
};

static struct mon_release *release_of(struct mon_endpoint *ep, int64_t number)
{
    struct mon_release *r = ep->releases;

    while (r && r->number != number)
        r = r->next;
    return r;
}

static void push_bytes(void *list, size_t *n, size_t item, const void *v)
{
    char *p = list;

    if (*n == VERDICTS_KEPT) {
        memmove(p, p + item, (VERDICTS_KEPT - 1) * item);
        (*n)--;
    }
    memcpy(p + *n * item, v, item);
    (*n)++;
}

void mon_drift_push(struct mon_release *r, enum drift_verdict v)
{
    push_bytes(r->drift, &r->n_drift, sizeof(r->drift[0]), &v);
}

void mon_perf_push(struct mon_release *r, enum metric_id m, enum verdict v, double value)
{
    size_t n = r->n_perf[m];

    push_bytes(r->perf[m], &r->n_perf[m], sizeof(r->perf[m][0]), &v);
    push_bytes(r->perf_values[m], &n, sizeof(r->perf_values[m][0]), &value);
}

static enum err_code tell(struct evaluation *e, struct monitor_event *ev, const char *kind,
                          const char *verdict, struct err *err)
{
    enum err_code code = mon_store_verdict(e->m, ev, kind, verdict, err);

    if (code == ERR_OK && e->fn)
        e->fn(e->arg, ev);
    return code;
}

/* Share of the endpoint's requests of this window that the release answered. */
static double window_share(const struct mon_endpoint *ep, const struct window *w)
{
    double all = 0;

    for (size_t i = 0; i < ep->n_windows; i++)
        all += ep->windows[i]->start_us == w->start_us ? (double)ep->windows[i]->n : 0;
    return all > 0 ? (double)w->n / all : 1;
}

/* The first window of a release that began in its middle. */
static bool is_late_start(const struct mon_endpoint *ep, const struct window *w)
{
    for (size_t i = 0; i < ep->n_windows && ep->windows[i]->start_us < w->start_us; i++)
        if (ep->windows[i]->release == w->release)
            return false;
    return w->first_event_us != AT_US_NONE &&
           (double)(w->first_event_us - w->start_us) >
               DRIFT_LATE_MAX * (double)(w->end_us - w->start_us);
}

static enum err_code judge_drift(struct evaluation *e, struct mon_release *rel, struct window *w,
                                 struct err *err)
{
    struct drift_outcome o;
    struct monitor_event ev = {.kind = MONITOR_DRIFT,
                               .endpoint = e->ep->name,
                               .release = w->release,
                               .start_us = w->start_us,
                               .end_us = w->end_us,
                               .is_live = w->release == e->live};
    size_t n = rel->n_drift;
    enum drift_verdict last[VERDICTS_KEPT];

    /* A release that came, went or shared the traffic saw other hours or other entities than its
     * reference did. */
    if (!rel->baseline || window_share(e->ep, w) < DRIFT_SHARE_MIN || is_late_start(e->ep, w))
        return ERR_OK;
    if (window_drift(w, rel->baseline, &e->ep->spec, &e->m->scratch, &o, err) != ERR_OK)
        return err->code;
    memcpy(last, rel->drift, sizeof(last));
    push_bytes(last, &n, sizeof(last[0]), &o.verdict);
    ev.name = o.worst;
    ev.is_alarm = o.verdict == DRIFT_YES;
    ev.is_open = o.verdict == DRIFT_OPEN;
    ev.is_score = o.is_score;
    ev.is_persistent =
        ev.is_alarm && drift_persists(last, n, (size_t)e->ep->spec.k, (size_t)e->ep->spec.r);
    json_set(&e->m->scratch, o.doc, "window", window_json(w, &e->m->scratch));
    json_set(&e->m->scratch, o.doc, "is_persistent", json_bool(&e->m->scratch, ev.is_persistent));
    ev.doc = o.doc;
    if (tell(e, &ev, "drift", drift_verdict_name(o.verdict), err) != ERR_OK)
        return err->code;
    mon_drift_push(rel, o.verdict);
    return ERR_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median_of(const double *v, size_t n)
{
    double sorted[VERDICTS_KEPT];

    if (n == 0)
        return NAN;
    memcpy(sorted, v, n * sizeof(*v));
    qsort(sorted, n, sizeof(*sorted), by_value);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static enum err_code judge_rule(struct evaluation *e, struct mon_release *rel, struct window *w,
                                size_t i, struct err *err)
{
    const struct perf_rule *r = &e->ep->spec.perf[i];
    struct perf_outcome o;
    struct monitor_event ev = {.kind = MONITOR_PERFORMANCE,
                               .endpoint = e->ep->name,
                               .release = w->release,
                               .start_us = w->start_us,
                               .end_us = w->end_us,
                               .name = metric_info(r->metric)->name,
                               .is_live = w->release == e->live};
    double expected = rel->baseline ? baseline_metric(rel->baseline, r->metric) : NAN;
    size_t n = rel->n_perf[r->metric];
    enum verdict last[VERDICTS_KEPT];

    window_perf(w, r, rel->task, expected, median_of(rel->perf_values[r->metric], n),
                &e->m->scratch, &o);
    memcpy(last, rel->perf[r->metric], sizeof(last));
    push_bytes(last, &n, sizeof(last[0]), &o.verdict);
    ev.is_alarm = o.verdict == VERDICT_FAIL;
    ev.is_open = o.verdict == VERDICT_OPEN;
    ev.is_persistent = ev.is_alarm && perf_persists(last, n, r->k, r->r);
    json_set(&e->m->scratch, o.doc, "window", window_json(w, &e->m->scratch));
    json_set(&e->m->scratch, o.doc, "is_persistent", json_bool(&e->m->scratch, ev.is_persistent));
    ev.doc = o.doc;
    if (tell(e, &ev, "performance", verdict_name(o.verdict), err) != ERR_OK)
        return err->code;
    if (!ev.is_open)
        mon_perf_push(rel, r->metric, o.verdict, o.value);
    return ERR_OK;
}

static enum err_code tell_starved(struct evaluation *e, struct window *w, double coverage,
                                  struct err *err)
{
    struct arena *a = &e->m->scratch;
    struct monitor_event ev = {.kind = MONITOR_STARVED,
                               .endpoint = e->ep->name,
                               .release = w->release,
                               .start_us = w->start_us,
                               .end_us = w->end_us,
                               .is_alarm = true,
                               .is_persistent = true,
                               .is_live = w->release == e->live};
    struct json *doc = json_obj(a);

    json_set(a, doc, "coverage", json_num(a, coverage));
    json_set(a, doc, "declared_coverage", json_num(a, e->ep->spec.coverage));
    json_set(a, doc, "labels_by_s",
             json_num(a, (double)e->ep->spec.labels_by_us / (double)US_PER_S));
    json_set(a, doc, "window", window_json(w, a));
    ev.doc = doc;
    return tell(e, &ev, "starvation", "not_enough_evidence", err);
}

static enum err_code judge_final(struct evaluation *e, struct mon_release *rel, struct window *w,
                                 struct err *err)
{
    const struct monitor_spec *s = &e->ep->spec;
    double coverage = w->n > 0 ? (double)w->n_labelled / (double)w->n : 0;
    bool is_covered = w->n > 0 && coverage >= s->coverage;
    bool is_old = s->labels_by_us > 0 && e->now_us >= w->end_us + s->labels_by_us;

    if (!is_covered && !is_old)
        return ERR_OK;
    if (!is_covered && w->n > 0 && tell_starved(e, w, coverage, err) != ERR_OK)
        return err->code;
    for (size_t i = 0; i < s->n_perf && w->n_labelled > 0; i++)
        if (judge_rule(e, rel, w, i, err) != ERR_OK)
            return err->code;
    w->is_final = true;
    w->is_dirty = true;
    return ERR_OK;
}

static enum err_code judge_window(struct evaluation *e, struct window *w, struct err *err)
{
    struct arena_mark mark = arena_mark(&e->m->scratch);
    struct mon_release *rel = release_of(e->ep, w->release);
    enum err_code code = ERR_OK;

    if (!rel || w->end_us > e->now_us)
        return ERR_OK;
    if (!w->is_closed) {
        code = judge_drift(e, rel, w, err);
        if (code == ERR_OK)
            w->is_closed = w->is_dirty = true;
    }
    if (code == ERR_OK && !w->is_final)
        code = judge_final(e, rel, w, err);
    arena_release(&e->m->scratch, mark);
    return code;
}

/* Old final windows leave memory; they stay in the store. */
static void forget_windows(struct mon_endpoint *ep)
{
    size_t kept = 0;

    for (size_t i = 0; i < ep->n_windows; i++) {
        struct window *w = ep->windows[i];
        bool is_done =
            w->is_final && w->is_closed && !w->is_dirty && i + WINDOWS_KEPT < ep->n_windows;
        if (is_done)
            window_free(w);
        else
            ep->windows[kept++] = w;
    }
    ep->n_windows = kept;
}

enum err_code monitor_evaluate(struct monitor *m, const char *endpoint, int64_t now_us,
                               monitor_event_fn fn, void *arg, struct err *err)
{
    struct evaluation e = {.m = m, .now_us = now_us, .fn = fn, .arg = arg};
    struct endpoint_state state;
    struct err none = ERR_INIT;
    enum err_code code = ERR_OK;

    mutex_lock(&m->mutex);
    e.ep = mon_endpoint_find(m, endpoint);
    if (e.ep && m->is_loaded) {
        struct arena_mark mark = arena_mark(&m->scratch);
        if (serve_endpoint(m->opt.serve, endpoint, &m->scratch, &state, &none) == ERR_OK)
            e.live = state.live;
        arena_release(&m->scratch, mark);
        for (size_t i = 0; i < e.ep->n_windows && code == ERR_OK; i++)
            code = judge_window(&e, e.ep->windows[i], err);
        forget_windows(e.ep);
    }
    mutex_unlock(&m->mutex);
    return code;
}
