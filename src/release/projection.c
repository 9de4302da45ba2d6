/* The decision journal as tables and audit chain. The journal is read from its start into a fresh book; records beyond the
 * stored generation are written, one transaction each, together with the generation, so that a second projection or one
 * that was interrupted writes nothing twice. A move that the table of states does not allow (a database that was restored from an older
 * copy) does not stop it: the journal is the truth, the audit entry says so. */
#include <stdlib.h>

#include "base/check.h"
#include "registry/registry.h"
#include "release/control_int.h"

#define PROJECTION_NAME "decisions"

struct projection {
    struct release_host *h;
    struct db *db;
    struct audit_chain *audit;
    struct book book;
    uint64_t stored;
    enum err_code code;
    struct err *err;
};

struct record {
    const struct projection *p;
    uint64_t gen;
    int64_t at_us;
    const struct json *json;
    const struct book_endpoint *e;
    int kind;
    struct arena *a;
};

static int64_t number_of(const struct json *v, const char *key)
{
    int64_t n = json_get_int(v, key, 0);
    struct str s = json_get_str(v, key);

    if (s.n > 1 && s.p[0] == 'r' && parse_i64(str_n(s.p + 1, s.n - 1), &n, NULL) != ERR_OK)
        return 0;
    return n;
}

static const char *text_at(const struct json *v, const char *key, const char *or_)
{
    const char *s = json_get_c(v, key);

    return s ? s : or_;
}

static enum err_code decision_row(struct db_tx *tx, const struct record *r, struct err *err)
{
    struct buf extra;
    enum err_code code = ERR_OK;

    buf_init(&extra, (size_t)16 << 20);
    if (json_get(r->json, "extra"))
        code = json_write(json_get(r->json, "extra"), JSON_COMPACT, &extra, err);
    if (code == ERR_OK)
        code = db_exec(
            tx, err,
            "INSERT INTO endpoint_decisions (generation, endpoint, kind, actor, reason, "
            "before_release, after_release, "
            "candidate, rollout, event_us, at_us, extra) VALUES (?,?,?,?,?,?,?,?,?,?,?,?) "
            "ON CONFLICT (generation) DO NOTHING",
            "issss"
            "iiiiii"
            "s",
            (int64_t)r->gen, r->e->name, text_at(r->json, "kind", ""),
            text_at(r->json, "actor", "unknown"), text_at(r->json, "reason", ""),
            number_of(r->json, "before"), number_of(r->json, "after"), r->e->rollout.candidate,
            r->e->rollout.id, r->e->changed_us, r->at_us, extra.n ? extra.p : NULL);
    buf_fini(&extra);
    return code;
}

static enum err_code endpoint_row(struct db_tx *tx, const struct record *r, struct err *err)
{
    const struct json *state = json_get(r->json, "state");
    const struct book_origin *o = book_origin(r->e, r->e->live);

    return db_exec(tx, err,
                   "INSERT INTO endpoints (name, generation, live, rollout, is_held, hold_reason, "
                   "project, revision, updated_us) "
                   "VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (name) DO UPDATE SET generation = "
                   "excluded.generation, "
                   "live = excluded.live, rollout = excluded.rollout, is_held = excluded.is_held, "
                   "hold_reason = excluded.hold_reason, project = excluded.project, revision = "
                   "excluded.revision, "
                   "updated_us = excluded.updated_us",
                   "siiiisssi", r->e->name, (int64_t)r->gen, r->e->live,
                   r->e->has_rollout ? r->e->rollout.id : (int64_t)0,
                   (int64_t)json_get_bool(state, "held", false), json_get_c(state, "hold_reason"),
                   o ? o->project : NULL, o ? o->revision : NULL, r->at_us);
}

static enum err_code rollout_row(struct db_tx *tx, const struct record *r, struct err *err)
{
    const struct rollout *ro = &r->e->rollout;
    struct buf doc;
    enum err_code code;

    if (ro->id == 0)
        return ERR_OK;
    buf_init(&doc, (size_t)16 << 20);
    code = json_write(rollout_json(ro, r->a), JSON_COMPACT, &doc, err);
    if (code == ERR_OK)
        code = db_exec(
            tx, err,
            "INSERT INTO rollouts (id, endpoint, candidate, incumbent, state, step, started_us, "
            "doc, reason) "
            "VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET state = excluded.state, "
            "step = excluded.step, doc = excluded.doc, reason = excluded.reason",
            "isiisiits", ro->id, r->e->name, ro->candidate, ro->incumbent,
            ROLLOUT_STATE_NAMES[ro->state], (int64_t)ro->step, ro->started_us, buf_view(&doc),
            ro->reason);
    if (code == ERR_OK && rollout_is_over(ro->state))
        code =
            db_exec(tx, err, "UPDATE rollouts SET ended_us = ? WHERE id = ? AND ended_us IS NULL",
                    "ii", r->e->changed_us, ro->id);
    buf_fini(&doc);
    return code;
}

static enum err_code move(struct db_tx *tx, const struct record *r, int64_t number,
                          enum release_state to, struct err *err)
{
    enum err_code code;

    if (number <= 0)
        return ERR_OK;
    code = release_move_tx(tx, number, to, text_at(r->json, "actor", "unknown"),
                           text_at(r->json, "reason", ""), r->at_us, err);
    if (code != ERR_REFUSED && code != ERR_NOT_FOUND)
        return code;
    err_reset(err); /* the journal is the truth */
    return db_exec(tx, err, "UPDATE releases SET state = ?, updated_us = ? WHERE number = ?", "sii",
                   RELEASE_STATE_NAMES[to], r->at_us, number);
}

static enum err_code moves(struct db_tx *tx, const struct record *r, struct err *err)
{
    int64_t before = number_of(r->json, "before"), after = number_of(r->json, "after");
    int64_t candidate = r->e->rollout.candidate;

    switch ((enum serve_decision_kind)r->kind) {
    case SERVE_LIVE:
    case SERVE_ROLLOUT_FINISH:
        if (before != after && move(tx, r, before, RELEASE_RETIRED, err) != ERR_OK)
            return err->code;
        return move(tx, r, after, RELEASE_LIVE, err);
    case SERVE_ROLLOUT_START:
        return move(tx, r, number_of(r->json, "release"), RELEASE_ROLLING, err);
    case SERVE_ROLLOUT_ABORT:
        return move(tx, r, candidate, RELEASE_ROLLED_BACK, err);
    case SERVE_ROLLBACK:
        if (before == after)
            return move(tx, r, candidate, RELEASE_ROLLED_BACK, err);
        if (move(tx, r, before, RELEASE_ROLLED_BACK, err) != ERR_OK)
            return err->code;
        return move(tx, r, after, RELEASE_LIVE, err);
    case SERVE_ROLLOUT_STEP:
    case SERVE_ROLLOUT_PAUSE:
    case SERVE_HOLD:
    case SERVE_RESUME:
    case SERVE_FALLBACK:
    case SERVE_DROP:
    case SERVE_DECISION_N:
        break;
    }
    return ERR_OK;
}

/* The alias `production` follows what is live, here and nowhere else. */
static enum err_code alias(struct db_tx *tx, const struct record *r, struct err *err)
{
    struct db_rows *rows;
    char *model = NULL;
    int64_t version = 0;
    enum err_code code;

    if (r->e->live <= 0 || number_of(r->json, "before") == number_of(r->json, "after"))
        return ERR_OK;
    code = db_query(tx, &rows, err, "SELECT model, model_version FROM releases WHERE number = ?",
                    "i", r->e->live);
    if (code != ERR_OK)
        return code;
    if (db_next(rows) && !db_is_null(rows, 0) &&
        parse_i64(db_str(rows, 1), &version, NULL) == ERR_OK)
        model = db_dup(rows, 0, r->a);
    if (db_done(rows, err) != ERR_OK)
        return err->code;
    if (!model || version <= 0)
        return ERR_OK;
    code = registry_production_set(tx, model, version, r->at_us, err);
    if (code == ERR_NOT_FOUND) { /* the version was deleted: the endpoint serves it all the same */
        err_reset(err);
        code = ERR_OK;
    }
    return code;
}

static enum err_code audit(struct db_tx *tx, const struct record *r, struct err *err)
{
    struct audit_entry e = {
        .at_us = r->at_us,
        .actor = text_at(r->json, "actor", "unknown"),
        .action = str_printf(r->a, "endpoint.%s", text_at(r->json, "kind", "")),
        .object = str_printf(r->a, "endpoint:%s", r->e->name),
        .before = str_printf(r->a, "r%lld", (long long)number_of(r->json, "before")),
        .after = str_printf(r->a, "r%lld", (long long)number_of(r->json, "after")),
        .reason = text_at(r->json, "reason", ""),
        .detail = json_get(r->json, "extra")};

    if (!r->p->audit)
        return ERR_OK;
    if (!e.action || !e.object || !e.before || !e.after)
        return arena_err(r->a, err);
    return audit_append(r->p->audit, tx, &e, NULL, err);
}

static enum err_code record_write(struct db_tx *tx, void *arg, struct err *err)
{
    const struct record *r = arg;
    int64_t stored = 0;
    enum err_code code =
        db_get_i64(tx, &stored, err, "SELECT generation FROM projections WHERE name = ?", "s",
                   PROJECTION_NAME);

    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return code;
    err_reset(err);
    if ((uint64_t)stored >= r->gen) /* another projection was first */
        return ERR_OK;
    if (decision_row(tx, r, err) != ERR_OK || endpoint_row(tx, r, err) != ERR_OK ||
        rollout_row(tx, r, err) != ERR_OK || moves(tx, r, err) != ERR_OK ||
        alias(tx, r, err) != ERR_OK || audit(tx, r, err) != ERR_OK)
        return err->code;
    return db_exec(
        tx, err,
        "INSERT INTO projections (name, generation) VALUES (?,?) ON CONFLICT (name) DO UPDATE SET "
        "generation = excluded.generation",
        "si", PROJECTION_NAME, (int64_t)r->gen);
}

static bool project_record(void *arg, uint64_t gen, int64_t at_us, const struct json *json)
{
    struct projection *p = arg;
    struct record r = {.p = p, .gen = gen, .at_us = at_us, .json = json, .a = &p->book.arena};

    p->code = book_apply(&p->book, gen, at_us, json, p->err);
    if (p->code != ERR_OK)
        return false;
    if (gen <= p->stored)
        return true;
    r.e = book_find(&p->book, text_at(json, "endpoint", ""));
    while (r.kind < SERVE_DECISION_N &&
           !str_is(json_get_str(json, "kind"), SERVE_DECISION_NAMES[r.kind]))
        r.kind++;
    p->code = db_write(p->db, record_write, &r, p->err);
    return p->code == ERR_OK;
}

static enum err_code stored_read(struct db_tx *tx, void *arg, struct err *err)
{
    int64_t v = 0;
    enum err_code code = db_get_i64(
        tx, &v, err, "SELECT generation FROM projections WHERE name = ?", "s", PROJECTION_NAME);

    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return code;
    err_reset(err);
    *(uint64_t *)arg = (uint64_t)v;
    return ERR_OK;
}

/* ---- ticks that waited ---- */
static enum err_code ticks_write(struct db_tx *tx, void *arg, struct err *err)
{
    const struct release_host *h = arg;
    enum err_code code = ERR_OK;

    for (size_t i = 0; i < h->n_ticks && code == ERR_OK; i++) {
        const struct pending_tick *t = &h->ticks[i];
        code = db_exec(tx, err,
                       "INSERT INTO rollout_ticks (rollout, at_us, step, verdict, action, doc) "
                       "VALUES (?,?,?,?,?,?) "
                       "ON CONFLICT (rollout, at_us, step) DO NOTHING",
                       "iiisss", t->rollout, t->at_us, (int64_t)t->step, t->verdict, t->action,
                       t->doc);
    }
    return code;
}

static enum err_code project_ticks(struct release_host *h, struct db *db, struct err *err)
{
    enum err_code code = ERR_OK;

    mutex_lock(&h->mutex);
    if (h->n_ticks > 0)
        code = db_write(db, ticks_write, h, err);
    for (size_t i = 0; code == ERR_OK && i < h->n_ticks; i++)
        free(h->ticks[i].doc);
    if (code == ERR_OK)
        h->n_ticks = 0;
    mutex_unlock(&h->mutex);
    return code;
}

enum err_code release_project(struct release_host *h, struct err *err)
{
    struct projection p = {.h = h, .err = err};
    struct arena a;
    enum err_code code;

    mutex_lock(&h->mutex);
    p.db = h->opt.db;
    p.audit = h->opt.audit;
    mutex_unlock(&h->mutex);
    if (!p.db)
        return host_need_db(h, err);
    mutex_lock(&h->project_mutex);
    arena_init(&a, HOST_SCRATCH_BYTES);
    book_init(&p.book);
    code = db_read(p.db, stored_read, &p.stored, err);
    if (code == ERR_OK && p.stored < journal_generation(h->opt.journal)) {
        code = journal_read(h->opt.journal, 0, &a, project_record, &p, err);
        if (code == ERR_OK)
            code = p.code;
        if (code == ERR_OK && p.audit)
            code = audit_publish(p.audit, err);
    }
    if (code == ERR_OK)
        code = project_ticks(h, p.db, err);
    if (code == ERR_OK) {
        mutex_lock(&h->mutex);
        h->projected = p.book.generation > p.stored ? p.book.generation : p.stored;
        cond_broadcast(&h->projected_cond);
        mutex_unlock(&h->mutex);
    }
    book_fini(&p.book);
    arena_fini(&a);
    mutex_unlock(&h->project_mutex);
    return code;
}
