/* Records of a request. One row is encoded straight into the ring; many rows are encoded aside first, so that a request that
 * is refused at its last row leaves nothing behind. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "serve/predict_int.h"

#define PUT_ROWS_MAX 256
#define LOOKUPS_MAX  PLAN_LOOKUPS_MAX

_Static_assert((int)LOOKUP_N == (int)PLAN_STATUS_N,
               "look-up statuses are logged as the plan numbers them");

static uint32_t latency_us(const struct predict *p)
{
    int64_t us = (p->mono_ns - p->q->mono_ns) / 1000;
    return us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static struct prediction_record record_base(const struct predict *p, size_t row,
                                            const struct route *r)
{
    struct prediction_record rec = {
        .row = (uint32_t)row,
        .client_id = p->q->id,
        .endpoint = p->ep->name,
        .event_us = p->now_us,
        .wall_us = p->wall_us,
        .release = runtime_release(r->rt),
        .generation = p->ep->generation,
        .role = r->role,
        .bucket = r->bucket,
        .latency_us = latency_us(p),
        .decision = (double)NAN,
    };
    memcpy(rec.id, p->ans.id, sizeof rec.id);
    return rec;
}

static struct prediction_record failed_record(const struct predict *p, size_t row,
                                              const struct route *r)
{
    struct prediction_record rec = record_base(p, row, r);
    rec.status = RECORD_ERROR;
    return rec;
}

/* Room that the arrays of one record borrow while it is encoded. */
struct room {
    double scores[SERVE_OUTPUTS_MAX];
    uint8_t lookups[LOOKUPS_MAX];
};

static void record_fill(struct prediction_record *rec, const struct route *r,
                        const struct outcome *o, struct room *room)
{
    const struct runtime_answer *a = &o->ans;
    rec->status = o->status;
    rec->compute_ns = o->compute_ns;
    rec->decision = a->decision;
    rec->n_scores = (uint32_t)runtime_n_outputs(r->rt);
    for (uint32_t i = 0; i < rec->n_scores; i++)
        room->scores[i] = (double)a->scores[i];
    rec->scores = room->scores;
    if (!a->features.values)
        return;
    rec->event_us = a->features.at_us;
    rec->n_lookups = (uint32_t)plan_n_lookups(runtime_plan(r->rt));
    for (uint32_t i = 0; i < rec->n_lookups; i++)
        room->lookups[i] = (uint8_t)a->features.statuses[i];
    rec->lookups = room->lookups;
    rec->n_values = (uint32_t)plan_n_settable(runtime_plan(r->rt));
    rec->values = (struct value *)(uintptr_t)a->features.values;
    rec->n_row = (uint32_t)a->n_row;
    rec->row_values = (float *)(uintptr_t)a->row;
}

static void encode_aside(struct predict *p, const struct prediction_record *rec)
{
    unsigned char *out = arena_alloc(p->a, record_bytes_max(rec));
    if (!out) { /* the answer says that it is not logged */
        p->ans.is_logged = false;
        return;
    }
    p->payloads[p->n_payloads++] = str_n((const char *)out, record_encode(rec, out));
}

/* failed: where the row went first and was not answered; NULL: nowhere. */
void log_row(struct predict *p, size_t row, const struct route *r, const struct outcome *o,
             const struct route *failed)
{
    struct room room;
    struct prediction_record recs[2];
    size_t n = 0;
    if (failed)
        recs[n++] = failed_record(p, row, failed);
    recs[n] = o ? record_base(p, row, r) : failed_record(p, row, r);
    if (o)
        record_fill(&recs[n], r, o, &room);
    n++;
    if (p->n_rows > 1 && p->payloads) {
        for (size_t i = 0; i < n; i++)
            encode_aside(p, &recs[i]);
        return;
    }
    p->ans.is_logged = feedback_log_put_rows(p->s->opt.log, recs, n, &p->ans.ticket);
}

void log_finish(struct predict *p)
{
    for (size_t at = 0; at < p->n_payloads;) {
        size_t n = p->n_payloads - at < PUT_ROWS_MAX ? p->n_payloads - at : PUT_ROWS_MAX;
        if (!feedback_log_put_encoded(p->s->opt.log, p->payloads + at, n, &p->ans.ticket))
            p->ans.is_logged = false;
        at += n;
    }
}
