#include <stdio.h>

#include "serve/serve_int.h"

static const char *release_text(int64_t release, char out[NUM_TEXT_BYTES + 1])
{
    out[0] = 'r';
    num_i64(out + 1, release);
    return out;
}

static void rows_metric(const struct serve *s, struct prom *p)
{
    prom_family(p, PROM_PREDICTIONS);
    for (struct serve_entry *e = s->entries; e; e = e->next)
        for (int role = 0; role < ROLE_N; role++)
            for (int status = 0; status < RECORD_STATUS_N; status++) {
                uint64_t n = atomic_load(&e->counters.rows[role][status]);
                if (n > 0 || (role == ROLE_LIVE && status == RECORD_OK))
                    prom_sample(p, (double)n, "endpoint", e->name, "role", ROLE_NAMES[role],
                                "status", RECORD_STATUS_NAMES[status], NULL);
            }
}

static void counts_metric(const struct serve *s, struct prom *p)
{
    prom_family(p, PROM_PREDICTION_FALLBACKS);
    for (struct serve_entry *e = s->entries; e; e = e->next)
        prom_sample(p, (double)atomic_load(&e->counters.n_fallback), "endpoint", e->name, NULL);
    prom_family(p, PROM_PREDICTION_NO_KEY);
    for (struct serve_entry *e = s->entries; e; e = e->next)
        prom_sample(p, (double)atomic_load(&e->counters.n_no_key), "endpoint", e->name, NULL);
    prom_family(p, PROM_ROLLBACKS);
    for (struct serve_entry *e = s->entries; e; e = e->next)
        prom_sample(p, (double)atomic_load(&e->counters.n_rollbacks), "endpoint", e->name, NULL);
}

static void state_metric(const struct serve *s, struct prom *p)
{
    char live[NUM_TEXT_BYTES + 1];
    prom_family(p, PROM_ENDPOINT_RELEASE);
    for (struct serve_entry *e = s->entries; e; e = e->next)
        if (e->is_there)
            prom_sample(p, 1, "endpoint", e->name, "release", release_text(e->state.live, live),
                        NULL);
    prom_family(p, PROM_ENDPOINT_SHARE);
    for (struct serve_entry *e = s->entries; e; e = e->next)
        if (e->is_there)
            prom_sample(p,
                        e->state.has_rollout && !e->state.rollout.is_paused
                            ? e->state.rollout.share / 10000.0
                            : 0,
                        "endpoint", e->name, NULL);
    prom_family(p, PROM_ENDPOINT_HOLD);
    for (struct serve_entry *e = s->entries; e; e = e->next)
        if (e->is_there)
            prom_sample(p, e->state.is_held, "endpoint", e->name, NULL);
}

void serve_metrics(struct serve *s, struct prom *p)
{
    mutex_lock(&s->state_mutex);
    rows_metric(s, p);
    prom_family(p, PROM_PREDICTION_DURATION);
    for (struct serve_entry *e = s->entries; e; e = e->next)
        prom_histogram(p, &e->counters.latency, "endpoint", e->name, NULL);
    counts_metric(s, p);
    state_metric(s, p);
    mutex_unlock(&s->state_mutex);
    prom_family(p, PROM_SNAPSHOTS_RETIRED);
    prom_sample(p, (double)(atomic_load(&s->n_snapshots) - 1 - atomic_load(&s->n_freed)), NULL);
}
