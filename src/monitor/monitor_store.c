/* Sums in the database: everything that changed goes with the log positions in one transaction. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "monitor/monitor_int.h"

#define FOLD_NAME      "fold"
#define LOAD_BYTES_MAX ((size_t)1 << 30)
#define DOC_BYTES_MAX  ((size_t)64 << 20)

enum row_kind { ROW_WINDOW, ROW_MINUTES, ROW_EVIDENCE, ROW_LABEL, ROW_LABEL_DONE };

struct row {
    enum row_kind kind;
    const char *endpoint, *key;
    int64_t a, b, c, d; /* release, start, end, flags | rollout, step, slot | known, wall */
    struct str doc;
};

struct commit {
    VEC(struct row) rows;
    const struct monitor *m;
    struct arena *arena;
    int64_t rollout; /* evidence_save's */
    int64_t at_us;
};

static enum err_code text_of(const struct json *v, struct arena *a, struct str *ret,
                             struct err *err)
{
    struct buf b;
    enum err_code code;
    char *copy;

    buf_init(&b, DOC_BYTES_MAX);
    code = json_write(v, JSON_COMPACT, &b, err);
    copy = code == ERR_OK ? str_dup(a, buf_view(&b)) : NULL;
    if (code == ERR_OK && !copy)
        code = arena_err(a, err);
    if (copy)
        *ret = str_n(copy, b.n);
    buf_fini(&b);
    return code;
}

static enum err_code row_add(struct commit *c, const struct row *r, const struct json *doc,
                             struct err *err)
{
    struct row *added = VEC_ADD(c->arena, &c->rows);

    if (!added)
        return arena_err(c->arena, err);
    *added = *r;
    return doc ? text_of(doc, c->arena, &added->doc, err) : ERR_OK;
}

static struct json *slo_json(const struct slo_bucket *s, struct arena *a)
{
    struct json *o = json_obj(a), *bad = json_arr(a), *seen = json_arr(a);

    for (int i = 0; i < SLO_MAX; i++) {
        json_add(a, bad, json_int(a, (int64_t)s->bad[i]));
        json_add(a, seen, json_int(a, (int64_t)s->seen[i]));
    }
    json_set(a, o, "n", json_int(a, (int64_t)s->n));
    json_set(a, o, "errors", json_int(a, (int64_t)s->errors));
    json_set(a, o, "bad", bad);
    return json_set(a, o, "seen", seen);
}

static enum err_code evidence_row(void *arg, int step, int slot, const struct json *doc,
                                  struct err *err)
{
    struct commit *c = arg;

    return row_add(c, &(struct row){.kind = ROW_EVIDENCE, .a = c->rollout, .b = step, .c = slot},
                   doc, err);
}

static enum err_code gather_endpoint(struct commit *c, struct mon_endpoint *ep,
                                     struct arena *json_arena, struct err *err)
{
    struct arena_mark mark = arena_mark(json_arena);

    for (size_t i = 0; i < ep->n_windows; i++) {
        struct window *w = ep->windows[i];
        struct row r = {.kind = ROW_WINDOW,
                        .endpoint = ep->name,
                        .a = w->release,
                        .b = w->start_us,
                        .c = w->end_us,
                        .d = (w->is_closed ? 1 : 0) | (w->is_final ? 2 : 0)};
        if (w->is_dirty && row_add(c, &r, window_save(w, json_arena), err) != ERR_OK)
            return err->code;
        arena_release(json_arena, mark);
    }
    for (size_t i = 0; i < ep->n_slo; i++) {
        struct row r = {.kind = ROW_MINUTES, .endpoint = ep->name, .a = ep->slo[i].start_us};
        if (ep->slo[i].is_dirty && row_add(c, &r, slo_json(&ep->slo[i], json_arena), err) != ERR_OK)
            return err->code;
        arena_release(json_arena, mark);
    }
    if (!ep->rollout.evidence)
        return ERR_OK;
    c->rollout = ep->rollout.watch.rollout;
    return evidence_save(ep->rollout.evidence, json_arena, evidence_row, c, err);
}

static enum err_code gather_labels(struct commit *c, struct monitor *m, struct arena *json_arena,
                                   struct err *err)
{
    char key[DIGEST_HEX_BYTES];

    for (size_t i = 0; i < m->n_pending; i++) {
        struct arena_mark mark = arena_mark(json_arena);
        const struct label_record *l = &m->pending[i]->label;
        struct row r = {.kind = ROW_LABEL, .a = l->known_us, .b = l->wall_us};
        enum err_code code = ERR_OK;
        pending_key(l, key);
        r.key = str_dup(c->arena, str_c(key));
        r.endpoint = str_dup(c->arena, l->endpoint);
        if (!m->pending[i]->is_saved)
            code = row_add(c, &r, label_json(l, json_arena), err);
        arena_release(json_arena, mark);
        if (code != ERR_OK)
            return code;
    }
    for (size_t i = 0; i < m->n_applied; i++)
        if (row_add(c, &(struct row){.kind = ROW_LABEL_DONE, .key = m->applied[i]}, NULL, err) !=
            ERR_OK)
            return err->code;
    return ERR_OK;
}

static enum err_code row_write(struct db_tx *tx, const struct row *r, struct err *err)
{
    switch (r->kind) {
    case ROW_WINDOW:
        return db_exec(
            tx, err,
            "INSERT INTO monitor_windows (endpoint, release, start_us, end_us, is_closed, "
            "is_final, doc) "
            "VALUES (?,?,?,?,?,?,?) ON CONFLICT (endpoint, release, start_us) DO UPDATE SET "
            "is_closed = excluded.is_closed, is_final = excluded.is_final, doc = excluded.doc",
            "siiiiit", r->endpoint, r->a, r->b, r->c, r->d & 1, (r->d >> 1) & 1, r->doc);
    case ROW_MINUTES:
        return db_exec(tx, err,
                       "INSERT INTO monitor_minutes (endpoint, start_us, doc) VALUES (?,?,?) "
                       "ON CONFLICT (endpoint, start_us) DO UPDATE SET doc = excluded.doc",
                       "sit", r->endpoint, r->a, r->doc);
    case ROW_EVIDENCE:
        return db_exec(tx, err,
                       "INSERT INTO monitor_evidence (rollout, step, slot, doc) VALUES (?,?,?,?) "
                       "ON CONFLICT (rollout, step, slot) DO UPDATE SET doc = excluded.doc",
                       "iiit", r->a, r->b, r->c, r->doc);
    case ROW_LABEL:
        return db_exec(
            tx, err,
            "INSERT INTO monitor_labels (id, endpoint, known_us, wall_us, doc) VALUES (?,?,?,?,?) "
            "ON CONFLICT (id) DO UPDATE SET doc = excluded.doc",
            "ssiit", r->key, r->endpoint, r->a, r->b, r->doc);
    case ROW_LABEL_DONE:
        break;
    }
    return db_exec(tx, err, "DELETE FROM monitor_labels WHERE id = ?", "s", r->key);
}

static enum err_code commit_write(struct db_tx *tx, void *arg, struct err *err)
{
    const struct commit *c = arg;
    char record_pos[LOG_POS_TEXT_BYTES], label_pos[LOG_POS_TEXT_BYTES],
        shadow_pos[LOG_POS_TEXT_BYTES];
    enum err_code code = ERR_OK;

    for (size_t i = 0; i < c->rows.n && code == ERR_OK; i++)
        code = row_write(tx, &c->rows.p[i], err);
    if (code != ERR_OK)
        return code;
    log_pos_text(&c->m->record_pos, record_pos);
    log_pos_text(&c->m->label_pos, label_pos);
    log_pos_text(&c->m->shadow_pos, shadow_pos);
    return db_exec(
        tx, err,
        "INSERT INTO monitor_folds (name, record_pos, label_pos, shadow_pos, shadow_seq, "
        "telemetry, at_us) "
        "VALUES (?,?,?,?,?,?,?) ON CONFLICT (name) DO UPDATE SET record_pos = excluded.record_pos, "
        "label_pos = excluded.label_pos, shadow_pos = excluded.shadow_pos, shadow_seq = "
        "excluded.shadow_seq, "
        "telemetry = excluded.telemetry, at_us = excluded.at_us",
        "ssssisi", FOLD_NAME, record_pos, label_pos, shadow_pos, (int64_t)c->m->shadow_seq, "{}",
        c->at_us);
}

static void committed(struct monitor *m)
{
    for (struct mon_endpoint *ep = m->endpoints; ep; ep = ep->next) {
        for (size_t i = 0; i < ep->n_windows; i++)
            ep->windows[i]->is_dirty = false;
        for (size_t i = 0; i < ep->n_slo; i++)
            ep->slo[i].is_dirty = false;
        if (ep->rollout.evidence)
            evidence_saved(ep->rollout.evidence);
    }
    for (size_t i = 0; i < m->n_pending; i++)
        m->pending[i]->is_saved = true;
    for (size_t i = 0; i < m->n_applied; i++)
        free(m->applied[i]);
    m->n_applied = 0;
    m->telemetry.n_uncommitted = 0;
    m->telemetry.committed_us = clock_now_us(&m->opt.clock);
    m->committed_mono_ns = mono_ns();
    feedback_log_pin(m->opt.log, "monitor", &m->record_pos);
}

enum err_code mon_store_commit(struct monitor *m, struct err *err)
{
    struct arena rows, docs;
    struct commit c = {.m = m, .arena = &rows, .at_us = clock_now_us(&m->opt.clock)};
    enum err_code code = ERR_OK;

    if (!m->db || !m->is_loaded)
        return err_set(err, ERR_UNAVAILABLE,
                       "the database is away: the monitor's sums wait in memory");
    arena_init(&rows, LOAD_BYTES_MAX);
    arena_init(&docs, LOAD_BYTES_MAX);
    m->shadow_pos = series_end(feedback_log_shadow(m->opt.log));
    for (struct mon_endpoint *ep = m->endpoints; ep && code == ERR_OK; ep = ep->next)
        code = gather_endpoint(&c, ep, &docs, err);
    if (code == ERR_OK)
        code = gather_labels(&c, m, &docs, err);
    if (code == ERR_OK)
        code = db_write(m->db, commit_write, &c, err);
    if (code == ERR_OK) {
        committed(m);
        mon_problem(m, &(struct err)ERR_INIT);
    } else {
        mon_problem(m, err);
    }
    arena_fini(&rows);
    arena_fini(&docs);
    return code;
}

/* ---- reading back ---- */
static enum err_code load_windows(struct monitor *m, struct db_tx *tx, struct arena *a,
                                  struct err *err)
{
    struct db_rows *rows;
    enum err_code code = db_query(
        tx, &rows, err,
        "SELECT endpoint, release, start_us, is_closed, is_final, doc FROM monitor_windows "
        "WHERE is_final = 0 OR start_us > ? ORDER BY endpoint, start_us, release",
        "i", (int64_t)0);

    if (code != ERR_OK)
        return code;
    while (code == ERR_OK && db_next(rows)) {
        struct arena_mark mark = arena_mark(a);
        struct mon_endpoint *ep = mon_endpoint_get(m, db_str(rows, 0));
        struct mon_release *rel = ep ? mon_release_get(m, ep, db_i64(rows, 1), err) : NULL;
        struct window *w = rel ? mon_window_get(ep, rel, db_i64(rows, 2)) : NULL;
        struct json *doc;
        if (!w)
            code = err_nomem(err);
        if (code == ERR_OK)
            code = json_read(db_str(rows, 5), a, &doc, err);
        if (code == ERR_OK)
            code = window_load(w, doc, err);
        if (code == ERR_OK) {
            w->is_closed = db_i64(rows, 3) != 0;
            w->is_final = db_i64(rows, 4) != 0;
        }
        arena_release(a, mark);
    }
    if (db_done(rows, code == ERR_OK ? err : NULL) != ERR_OK && code == ERR_OK)
        return err->code;
    return code;
}

static void bucket_read(const struct json *doc, struct slo_bucket *s)
{
    s->n = (uint64_t)json_get_int(doc, "n", 0);
    s->errors = (uint64_t)json_get_int(doc, "errors", 0);
    for (size_t i = 0; i < SLO_MAX; i++) {
        const struct json *bad = json_at(json_get(doc, "bad"), i),
                          *seen = json_at(json_get(doc, "seen"), i);
        s->bad[i] = bad && bad->type == JSON_INT ? (uint64_t)bad->u.i : 0;
        s->seen[i] = seen && seen->type == JSON_INT ? (uint64_t)seen->u.i : 0;
    }
}

static enum err_code load_minutes(struct monitor *m, struct db_tx *tx, struct arena *a,
                                  struct err *err)
{
    struct db_rows *rows;
    enum err_code code = db_query(
        tx, &rows, err,
        "SELECT endpoint, start_us, doc FROM monitor_minutes ORDER BY endpoint, start_us", "");

    if (code != ERR_OK)
        return code;
    while (code == ERR_OK && db_next(rows)) {
        struct arena_mark mark = arena_mark(a);
        struct mon_endpoint *ep = mon_endpoint_get(m, db_str(rows, 0));
        struct slo_bucket *s = ep ? mon_slo_get(ep, db_i64(rows, 1)) : NULL;
        struct json *doc;
        code = s ? json_read(db_str(rows, 2), a, &doc, err) : err_nomem(err);
        if (code == ERR_OK)
            bucket_read(doc, s);
        arena_release(a, mark);
    }
    if (db_done(rows, code == ERR_OK ? err : NULL) != ERR_OK && code == ERR_OK)
        return err->code;
    return code;
}

static enum err_code load_pending(struct monitor *m, struct db_tx *tx, struct arena *a,
                                  struct err *err)
{
    struct db_rows *rows;
    enum err_code code =
        db_query(tx, &rows, err,
                 "SELECT endpoint, wall_us, doc FROM monitor_labels ORDER BY known_us, id", "");

    if (code != ERR_OK)
        return code;
    while (code == ERR_OK && db_next(rows)) {
        struct arena_mark mark = arena_mark(a);
        struct label_record l;
        struct json *doc;
        struct str endpoint = db_str(rows, 0);
        code = json_read(db_str(rows, 2), a, &doc, err);
        if (code == ERR_OK)
            code = label_from_json(doc, endpoint, db_i64(rows, 1), a, &l, err);
        if (code == ERR_OK)
            code = pending_add(m, &l, true, err);
        arena_release(a, mark);
    }
    if (db_done(rows, code == ERR_OK ? err : NULL) != ERR_OK && code == ERR_OK)
        return err->code;
    return code;
}

static enum err_code load_position(struct monitor *m, struct db_tx *tx, struct err *err)
{
    struct db_rows *rows;
    enum err_code code = db_query(
        tx, &rows, err,
        "SELECT record_pos, label_pos, shadow_pos, shadow_seq FROM monitor_folds WHERE name = ?",
        "s", FOLD_NAME);

    if (code != ERR_OK)
        return code;
    if (db_next(rows)) {
        code = log_pos_parse(db_str(rows, 0), &m->record_pos, err);
        if (code == ERR_OK)
            code = log_pos_parse(db_str(rows, 1), &m->label_pos, err);
        if (code == ERR_OK)
            code = log_pos_parse(db_str(rows, 2), &m->shadow_pos, err);
        m->shadow_seq = (uint64_t)db_i64(rows, 3);
    }
    if (db_done(rows, code == ERR_OK ? err : NULL) != ERR_OK && code == ERR_OK)
        return err->code;
    return code;
}

/* Verdicts of earlier windows: for k of the last r. */
static void drift_row(const struct db_rows *rows, struct mon_release *rel)
{
    enum drift_verdict v = DRIFT_NONE;

    while (v < DRIFT_VERDICT_N && !str_is(db_str(rows, 3), drift_verdict_name(v)))
        v++;
    mon_drift_push(rel, v < DRIFT_VERDICT_N ? v : DRIFT_OPEN);
}

static enum err_code perf_row(const struct db_rows *rows, struct mon_release *rel, struct arena *a,
                              struct err *err)
{
    enum verdict v;
    enum metric_id m;
    struct json *doc;

    if (!verdict_from_name(db_str(rows, 3), &v) || v == VERDICT_OPEN ||
        !metric_from_name(db_str(rows, 4), &m))
        return ERR_OK;
    if (json_read(db_str(rows, 5), a, &doc, err) != ERR_OK)
        return err->code;
    mon_perf_push(rel, m, v, json_get_f64(doc, "value", NAN));
    return ERR_OK;
}

static enum err_code load_verdicts(struct monitor *m, struct db_tx *tx, struct arena *a,
                                   struct err *err)
{
    struct db_rows *rows;
    enum err_code code = db_query(tx, &rows, err,
                                  "SELECT endpoint, release, kind, verdict, name, doc FROM "
                                  "monitor_verdicts WHERE kind <> 'starvation' ORDER BY start_us",
                                  "");

    if (code != ERR_OK)
        return code;
    while (code == ERR_OK && db_next(rows)) {
        struct arena_mark mark = arena_mark(a);
        struct mon_endpoint *ep = mon_endpoint_get(m, db_str(rows, 0));
        struct mon_release *rel = ep ? mon_release_get(m, ep, db_i64(rows, 1), err) : NULL;
        if (!rel)
            code = err_nomem(err);
        else if (str_is(db_str(rows, 2), "drift"))
            drift_row(rows, rel);
        else
            code = perf_row(rows, rel, a, err);
        arena_release(a, mark);
    }
    if (db_done(rows, code == ERR_OK ? err : NULL) != ERR_OK && code == ERR_OK)
        return err->code;
    return code;
}

static enum err_code load_all(struct db_tx *tx, void *arg, struct err *err)
{
    struct monitor *m = arg;
    struct arena a;
    enum err_code code;

    arena_init(&a, LOAD_BYTES_MAX);
    code = load_position(m, tx, err);
    if (code == ERR_OK)
        code = load_windows(m, tx, &a, err);
    if (code == ERR_OK)
        code = load_minutes(m, tx, &a, err);
    if (code == ERR_OK)
        code = load_pending(m, tx, &a, err);
    if (code == ERR_OK)
        code = load_verdicts(m, tx, &a, err);
    arena_fini(&a);
    return code;
}

enum err_code mon_store_load(struct monitor *m, struct err *err)
{
    struct log_pos zero = {0};

    if (db_read(m->db, load_all, m, err) != ERR_OK ||
        series_truncate(feedback_log_shadow(m->opt.log),
                        m->shadow_pos.segment ? &m->shadow_pos : &(struct log_pos){0},
                        err) != ERR_OK)
        return err_wrap(err, "read back the monitor's sums");
    if (log_reader_open(feedback_log_series(m->opt.log),
                        m->record_pos.segment ? &m->record_pos : &zero, &m->records,
                        err) != ERR_OK ||
        label_reader_open(label_log_series(m->opt.labels),
                          m->label_pos.segment ? &m->label_pos : &zero, &m->labels, err) != ERR_OK)
        return err_wrap(err, "read the logs where the monitor stood");
    m->is_loaded = true;
    return ERR_OK;
}

struct verdict_row {
    const struct monitor_event *ev;
    const char *kind, *verdict;
    struct str doc;
    int64_t at_us;
};

static enum err_code verdict_write(struct db_tx *tx, void *arg, struct err *err)
{
    const struct verdict_row *v = arg;

    return db_exec(tx, err,
                   "INSERT INTO monitor_verdicts (endpoint, release, start_us, end_us, kind, name, "
                   "verdict, doc, at_us) "
                   "VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (endpoint, release, start_us, kind, "
                   "name) DO NOTHING",
                   "siiissst"
                   "i",
                   v->ev->endpoint, v->ev->release, v->ev->start_us, v->ev->end_us, v->kind,
                   v->ev->kind == MONITOR_PERFORMANCE ? v->ev->name : "", v->verdict, v->doc,
                   v->at_us);
}

enum err_code mon_store_verdict(struct monitor *m, const struct monitor_event *ev, const char *kind,
                                const char *verdict, struct err *err)
{
    struct verdict_row v = {
        .ev = ev, .kind = kind, .verdict = verdict, .at_us = clock_now_us(&m->opt.clock)};

    if (!m->db)
        return err_set(err, ERR_UNAVAILABLE, "the database is away: the verdict waits");
    if (text_of(ev->doc, &m->scratch, &v.doc, err) != ERR_OK)
        return err->code;
    return db_write(m->db, verdict_write, &v, err);
}
