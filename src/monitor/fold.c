/* One record, one label: into windows, objectives and evidence. */
#include <math.h>

#include "base/check.h"
#include "monitor/monitor_int.h"

double record_score(const struct prediction_record *r)
{
    if (r->n_scores == 0)
        return NAN;
    return r
        ->scores[r->n_scores == 2 ? 1 : 0]; /* two classes: the share of the second, positive one */
}

static size_t feature_cell(const struct feature_source *f, const struct hist_edges *e,
                           const struct prediction_record *r)
{
    switch (f->from) {
    case FROM_VALUE:
        return f->index < r->n_values ? hist_cell_value(e, &r->values[f->index])
                                      : hist_cell_missing(e);
    case FROM_ROW:
        return f->index < r->n_row ? hist_cell_f64(e, (double)r->row_values[f->index])
                                   : hist_cell_missing(e);
    case FROM_ROW_CATEGORY: {
        float v = f->index < r->n_row ? r->row_values[f->index] : NAN;
        if (!(v >= 0) || (size_t)v >= f->n_categories)
            return hist_cell_missing(e);
        return hist_cell_str(e, f->categories[(size_t)v]);
    }
    case FROM_NOWHERE:
        break;
    }
    return hist_cell_missing(e);
}

static void count_features(const struct mon_release *rel, const struct prediction_record *r,
                           struct window *w)
{
    const struct baseline *b = rel->baseline;

    for (size_t i = 0; i < b->n_features; i++)
        if (rel->features[i].from != FROM_NOWHERE)
            w->cells[rel->features[i].first_cell +
                     feature_cell(&rel->features[i], &b->features[i].edges, r)]++;
    if (b->score.n > 0 && r->status == RECORD_OK)
        w->cells[rel->score_cell + hist_cell_f64(&b->score.edges, record_score(r))]++;
}

static void count_objectives(struct mon_endpoint *ep, const struct prediction_record *r,
                             struct slo_bucket *s)
{
    bool is_client_error =
        r->status == RECORD_FALLBACK || (r->status == RECORD_ERROR && r->role == ROLE_LIVE);

    s->is_dirty = true;
    if (r->status == RECORD_ERROR && r->role == ROLE_CANARY)
        return; /* the incumbent answered in its place: that record counts */
    s->n++;
    s->errors += is_client_error ? 1 : 0;
    for (size_t i = 0; i < ep->spec.n_slos && i < SLO_MAX; i++)
        if (ep->spec.slos[i].kind == SLO_LATENCY) {
            s->seen[i]++;
            s->bad[i] += r->latency_us > ep->spec.slos[i].limit_us ? 1 : 0;
        }
}

static enum err_code count_window(struct mon_endpoint *ep, struct mon_release *rel,
                                  const struct prediction_record *r, int64_t at_us, struct err *err)
{
    struct window *w = mon_window_get(ep, rel, at_us);

    if (!w)
        return err_nomem(err);
    w->is_dirty = true;
    w->n++;
    w->n_errors += r->status == RECORD_ERROR ? 1 : 0;
    w->n_fallback += r->status == RECORD_FALLBACK ? 1 : 0;
    w->n_rescued += r->status == RECORD_RESCUED ? 1 : 0;
    w->compute_ns += r->compute_ns;
    if (w->first_event_us == AT_US_NONE || at_us < w->first_event_us)
        w->first_event_us = at_us;
    w->last_event_us = at_us > w->last_event_us ? at_us : w->last_event_us;
    window_latency_add(w, r->latency_us);
    if (rel->baseline)
        count_features(rel, r, w);
    if (r->status == RECORD_OK || r->status == RECORD_RESCUED) {
        double score = record_score(r);
        if (isfinite(score))
            perf_add_score(&w->perf, score);
    }
    return ERR_OK;
}

enum err_code fold_record(struct monitor *m, const struct prediction_record *r, struct err *err)
{
    struct mon_endpoint *ep = mon_endpoint_get(m, r->endpoint);
    int64_t at_us = mon_record_time(m, r);
    struct slo_bucket *slo;
    struct mon_release *rel;

    if (r->role == ROLE_TEST || r->role == ROLE_SHADOW)
        return ERR_OK;
    if (!ep)
        return err_nomem(err);
    rel = mon_release_get(m, ep, r->release, err);
    if (!rel)
        return err->code;
    slo = mon_slo_get(ep, at_us);
    if (!slo)
        return err_nomem(err);
    count_objectives(ep, r, slo);
    if (count_window(ep, rel, r, at_us, err) != ERR_OK)
        return err->code;
    m->telemetry.last_record_us =
        at_us > m->telemetry.last_record_us ? at_us : m->telemetry.last_record_us;
    return fold_rollout_record(m, ep, r, at_us, err);
}

/* The prediction a label is about; ERR_NOT_FOUND: an orphan. */
static enum err_code label_record_find(struct monitor *m, const struct label_record *l,
                                       struct prediction_record *ret, struct err *err)
{
    static const uint8_t NONE[16];
    struct log_pos pos;

    if (memcmp(l->id, NONE, sizeof(NONE)) != 0)
        return feedback_log_find(m->opt.log, l->id, l->row, &m->scratch, ret, &pos, err);
    if (l->client_id.n > 0)
        return feedback_log_find_client(m->opt.log, l->endpoint, l->client_id, l->row, &m->scratch,
                                        ret, &pos, err);
    return err_set(err, ERR_NOT_FOUND, "a label by keys has no prediction");
}

static enum err_code label_count(struct monitor *m, struct mon_endpoint *ep,
                                 const struct label_record *l, const struct prediction_record *r,
                                 struct err *err)
{
    struct mon_release *rel = mon_release_get(m, ep, r->release, err);
    double label = label_number(l), score = record_score(r);
    int64_t known = l->known_us != AT_US_NONE ? l->known_us : l->wall_us;
    struct window *w;

    if (!rel)
        return err->code;
    w = mon_window_get(ep, rel, mon_record_time(m, r));
    if (!w)
        return err_nomem(err);
    w->is_dirty = true;
    w->n_labelled++;
    w->last_label_us = known > w->last_label_us ? known : w->last_label_us;
    m->telemetry.last_label_us =
        known > m->telemetry.last_label_us ? known : m->telemetry.last_label_us;
    if (!isfinite(label) || !isfinite(score))
        return ERR_OK;
    perf_add_label(&w->perf, rel->task, score, isfinite(r->decision) && r->decision != 0, label);
    return fold_rollout_label(ep, r, label, rel->task, err);
}

enum err_code fold_label(struct monitor *m, const struct label_record *l, struct err *err)
{
    struct arena_mark mark = arena_mark(&m->scratch);
    struct mon_endpoint *ep = mon_endpoint_get(m, l->endpoint);
    struct prediction_record r;
    enum err_code code;

    if (!ep)
        return err_nomem(err);
    if (l->name.n > 0) /* an outcome, not the label */
        return ERR_OK;
    code = label_record_find(m, l, &r, err);
    if (code == ERR_OK) {
        code = label_count(m, ep, l, &r, err);
        m->telemetry.n_labels++;
    } else if (code == ERR_NOT_FOUND) {
        ep->n_orphans++;
        m->telemetry.n_orphans++;
        code = ERR_OK;
    }
    arena_release(&m->scratch, mark);
    return code;
}
