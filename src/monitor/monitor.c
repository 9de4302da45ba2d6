#include "monitor/monitor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "monitor/monitor_int.h"

#define FOLD_PAUSE_MS 200
#define FLUSH_MS      10000

enum err_code monitor_open(const struct monitor_options *opt, struct monitor **ret, struct err *err)
{
    struct monitor *m = calloc(1, sizeof(*m));

    if (!m)
        return err_nomem(err);
    m->opt = *opt;
    if (m->opt.commit_ms <= 0)
        m->opt.commit_ms = 1000;
    m->telemetry.last_record_us = m->telemetry.last_label_us = m->telemetry.committed_us =
        AT_US_NONE;
    mutex_init(&m->mutex, "monitor", MONITOR_RANK);
    cond_init(&m->cond);
    arena_init(&m->scratch, MON_ARENA_BYTES);
    if (opt->db && monitor_attach(m, opt->db, err) != ERR_OK && err->code != ERR_UNAVAILABLE) {
        monitor_close(m);
        return err->code;
    }
    *ret = m;
    return ERR_OK;
}

enum err_code monitor_attach(struct monitor *m, struct db *db, struct err *err)
{
    enum err_code code = ERR_OK;

    mutex_lock(&m->mutex);
    m->db = db;
    if (!m->is_loaded)
        code = mon_store_load(m, err);
    mutex_unlock(&m->mutex);
    return code;
}

void mon_problem(struct monitor *m, const struct err *err)
{
    m->telemetry.is_failing = err->code != ERR_OK;
    (void)snprintf(m->telemetry.problem, sizeof(m->telemetry.problem), "%.*s",
                   (int)sizeof(m->telemetry.problem) - 1, err->msg);
}

/* One round: fold, and commit when it is time. The caller holds the mutex. */
static enum err_code monitor_round(struct monitor *m, struct err *err)
{
    enum err_code code = fold_run(m, err);

    if (code != ERR_OK) {
        mon_problem(m, err);
        return code;
    }
    if (m->telemetry.n_uncommitted > 0 &&
        mono_ns() - m->committed_mono_ns >= m->opt.commit_ms * 1000000) {
        struct err away = ERR_INIT;
        m->committed_mono_ns = mono_ns(); /* also after a failure: once a second is enough to ask */
        if (mon_store_commit(m, &away) != ERR_OK)
            return ERR_OK; /* the sums stay in memory; telemetry says so */
    }
    return ERR_OK;
}

static void *monitor_main(void *arg)
{
    struct monitor *m = arg;

    mutex_lock(&m->mutex);
    while (!m->is_stopping) {
        struct err err = ERR_INIT;
        enum err_code code = !m->is_loaded && m->db ? mon_store_load(m, &err) : ERR_OK;
        if (code == ERR_OK && m->is_loaded)
            code = monitor_round(m, &err);
        if (code != ERR_OK) /* tried again at the next round; telemetry says so */
            mon_problem(m, &err);
        (void)cond_wait(&m->cond, &m->mutex, FOLD_PAUSE_MS);
    }
    mutex_unlock(&m->mutex);
    return NULL;
}

enum err_code monitor_start(struct monitor *m, struct err *err)
{
    CHECK(!m->is_started);
    if (thread_start(&m->thread, "monitor", monitor_main, m, err) != ERR_OK)
        return err->code;
    m->is_started = true;
    return ERR_OK;
}

static void monitor_free(struct monitor *m)
{
    while (m->endpoints) {
        struct mon_endpoint *next = m->endpoints->next;
        mon_endpoint_free(m->endpoints);
        m->endpoints = next;
    }
    for (size_t i = 0; i < m->n_pending; i++) {
        free(m->pending[i]->texts);
        free(m->pending[i]);
    }
    for (size_t i = 0; i < m->n_applied; i++)
        free(m->applied[i]);
    free(m->pending);
    free(m->applied);
    if (m->records)
        log_reader_close(m->records);
    if (m->labels)
        label_reader_close(m->labels);
    arena_fini(&m->scratch);
    cond_fini(&m->cond);
    mutex_fini(&m->mutex);
    free(m);
}

void monitor_close(struct monitor *m)
{
    struct err err = ERR_INIT;

    if (!m)
        return;
    if (m->is_started) {
        mutex_lock(&m->mutex);
        m->is_stopping = true;
        cond_broadcast(&m->cond);
        mutex_unlock(&m->mutex);
        (void)pthread_join(m->thread, NULL);
    }
    /* What cannot be written now is folded again from the log. */
    if (m->is_loaded && m->telemetry.n_uncommitted > 0 && mon_store_commit(m, &err) != ERR_OK)
        m->telemetry.is_failing = true;
    monitor_free(m);
}

static void copy_slos(const struct monitor_spec *from, struct arena *a, struct monitor_spec *to)
{
    to->slos = ARENA_NEW_N(a, struct slo_spec, from->n_slos);
    to->n_slos = to->slos ? (from->n_slos < SLO_MAX ? from->n_slos : SLO_MAX) : 0;
    for (size_t i = 0; i < to->n_slos; i++) {
        to->slos[i] = from->slos[i];
        to->slos[i].name = from->slos[i].name ? str_dup(a, str_c(from->slos[i].name)) : "";
        to->slos[i].source = from->slos[i].source ? str_dup(a, str_c(from->slos[i].source)) : NULL;
    }
}

static enum err_code copy_spec(const struct monitor_spec *from, struct arena *a,
                               struct monitor_spec *to, struct err *err)
{
    *to = *from;
    to->perf = ARENA_NEW_N(a, struct perf_rule, from->n_perf);
    to->n_perf = to->perf ? (from->n_perf < PERF_RULES_MAX ? from->n_perf : PERF_RULES_MAX) : 0;
    for (size_t i = 0; i < to->n_perf; i++)
        to->perf[i] = from->perf[i];
    copy_slos(from, a, to);
    to->false_alarms = str_dup(a, str_c(from->false_alarms));
    to->runbook = from->runbook ? str_dup(a, str_c(from->runbook)) : NULL;
    return a->is_over_limit || a->is_out_of_memory ? arena_err(a, err) : ERR_OK;
}

enum err_code monitor_configure(struct monitor *m, const char *endpoint,
                                const struct monitor_spec *spec, struct err *err)
{
    struct mon_endpoint *ep;
    enum err_code code;

    mutex_lock(&m->mutex);
    ep = mon_endpoint_get(m, str_c(endpoint));
    if (!ep) {
        code = err_nomem(err);
    } else {
        arena_reset(&ep->arena);
        code = copy_spec(spec, &ep->arena, &ep->spec, err);
    }
    mutex_unlock(&m->mutex);
    return code;
}

/* ---- rollouts ---- */
struct evidence_load {
    struct evidence *evidence;
    int64_t rollout;
};

static enum err_code evidence_read(struct db_tx *tx, void *arg, struct err *err)
{
    struct evidence_load *l = arg;
    struct arena a;
    struct db_rows *rows;
    enum err_code code = db_query(
        tx, &rows, err, "SELECT doc FROM monitor_evidence WHERE rollout = ? ORDER BY step, slot",
        "i", l->rollout);

    if (code != ERR_OK)
        return code;
    arena_init(&a, (size_t)256 << 20);
    while (code == ERR_OK && db_next(rows)) {
        struct arena_mark mark = arena_mark(&a);
        struct json *doc;
        code = json_read(db_str(rows, 0), &a, &doc, err);
        if (code == ERR_OK)
            code = evidence_load(l->evidence, doc, err);
        arena_release(&a, mark);
    }
    arena_fini(&a);
    if (db_done(rows, code == ERR_OK ? err : NULL) != ERR_OK && code == ERR_OK)
        return err->code;
    return code;
}

static enum err_code watch_begin(struct monitor *m, struct mon_endpoint *ep,
                                 const struct rollout_watch *w, struct err *err)
{
    struct evidence_load load = {.rollout = w->rollout};
    struct err away = ERR_INIT;

    mon_rollout_release(&ep->rollout);
    ep->rollout.evidence = load.evidence = evidence_new();
    if (!load.evidence)
        return err_nomem(err);
    ep->rollout.is_watched = true;
    if (m->db && db_read(m->db, evidence_read, &load, &away) != ERR_OK &&
        away.code != ERR_UNAVAILABLE)
        return err_set(err, away.code, "%s", away.msg);
    return ERR_OK;
}

enum err_code monitor_watch(struct monitor *m, const struct rollout_watch *w, struct err *err)
{
    struct mon_endpoint *ep;
    enum err_code code = ERR_OK;

    mutex_lock(&m->mutex);
    ep = mon_endpoint_get(m, str_c(w->endpoint));
    if (!ep)
        code = err_nomem(err);
    else if (!ep->rollout.is_watched || ep->rollout.watch.rollout != w->rollout)
        code = watch_begin(m, ep, w, err);
    if (code == ERR_OK) {
        ep->rollout.watch = *w;
        ep->rollout.watch.endpoint = ep->name;
    }
    mutex_unlock(&m->mutex);
    return code;
}

void monitor_unwatch(struct monitor *m, const char *endpoint)
{
    struct mon_endpoint *ep;

    mutex_lock(&m->mutex);
    ep = mon_endpoint_find(m, endpoint);
    if (ep)
        mon_rollout_release(&ep->rollout);
    mutex_unlock(&m->mutex);
}

enum err_code monitor_evidence(struct monitor *m, const char *endpoint, int64_t rollout,
                               evidence_fn fn, void *arg, struct err *err)
{
    struct mon_endpoint *ep;
    enum err_code code;

    mutex_lock(&m->mutex);
    ep = mon_endpoint_find(m, endpoint);
    if (ep && ep->rollout.is_watched && ep->rollout.watch.rollout == rollout)
        code = fn(arg, ep->rollout.evidence, err);
    else
        code = err_set(err, ERR_NOT_FOUND, "no evidence is gathered for rollout %lld of %s",
                       (long long)rollout, endpoint);
    mutex_unlock(&m->mutex);
    return code;
}

double monitor_latency_quantile(struct monitor *m, const char *endpoint, int64_t release, double q)
{
    struct mon_endpoint *ep;
    struct window *sum = window_new(NULL, release, 0, 1);
    double v = 0;

    if (!sum)
        return 0;
    mutex_lock(&m->mutex);
    ep = mon_endpoint_find(m, endpoint);
    for (size_t i = ep ? ep->n_windows : 0; i > 0; i--)
        if (ep->windows[i - 1]->release == release && window_latency_total(sum) < 100000)
            hist_merge(sum->latency, ep->windows[i - 1]->latency, WINDOW_LATENCY_BINS);
    mutex_unlock(&m->mutex);
    v = window_latency_quantile(sum, q);
    window_free(sum);
    return v;
}

enum err_code monitor_drain(struct monitor *m, const char *endpoint, int64_t now_us,
                            struct err *err)
{
    enum err_code code = feedback_log_flush(m->opt.log, LOG_ACK_WRITTEN, FLUSH_MS, err);

    if (code != ERR_OK)
        return err_wrap(err, "drain the prediction log");
    mutex_lock(&m->mutex);
    if (!m->is_loaded && m->db)
        code = mon_store_load(m, err);
    m->drain_endpoint = endpoint;
    m->drain_us = now_us;
    if (code == ERR_OK)
        code = monitor_round(m, err);
    m->drain_endpoint = NULL;
    mutex_unlock(&m->mutex);
    return code;
}

enum err_code monitor_commit(struct monitor *m, struct err *err)
{
    enum err_code code;

    mutex_lock(&m->mutex);
    code = mon_store_commit(m, err);
    mutex_unlock(&m->mutex);
    return code;
}

void monitor_telemetry(struct monitor *m, struct monitor_telemetry *ret)
{
    mutex_lock(&m->mutex);
    *ret = m->telemetry;
    mutex_unlock(&m->mutex);
}
