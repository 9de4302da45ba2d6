/* What release/ shows: endpoints from memory, rollouts and their ticks from the tables, and decided again. */
#include "base/check.h"
#include "base/vec.h"
#include "release/control_int.h"

bool release_rollout(struct release_host *h, const char *endpoint, struct arena *a,
                     struct rollout *ret)
{
    struct book_endpoint *e;
    bool is_there;

    mutex_lock(&h->mutex);
    e = book_find(&h->book, endpoint);
    is_there = e && e->has_rollout;
    if (is_there) {
        *ret = e->rollout; /* its texts live as long as the host */
        ret->reason = e->rollout.reason ? str_dup(a, str_c(e->rollout.reason)) : NULL;
    }
    mutex_unlock(&h->mutex);
    return is_there;
}

static struct json *hold_json(const struct endpoint_state *s, struct arena *a)
{
    struct json *o = json_obj(a);

    if (!s->is_held)
        return NULL;
    json_set(a, o, "reason", json_cstr(a, s->hold_reason));
    return json_set(a, o, "until", json_time(a, s->hold_until_us));
}

static struct json *history_json(const struct endpoint_state *s, struct arena *a)
{
    struct json *list = json_arr(a);

    for (size_t i = 0; i < s->n_history; i++) {
        const struct endpoint_term *t = &s->history[i];
        struct json *o = json_obj(a);
        json_set(a, o, "release", json_fmt(a, "r%lld", (long long)t->release));
        json_set(a, o, "from", json_time(a, t->from_us));
        json_set(a, o, "to", json_time(a, t->to_us));
        json_set(a, o, "was_rolled_back", json_bool(a, t->was_rolled_back));
        json_add(a, list, o);
    }
    return list;
}

enum err_code release_endpoint_json(struct release_host *h, const char *endpoint, struct arena *a,
                                    struct json **ret, struct err *err)
{
    struct endpoint_state s;
    struct rollout r;
    const struct endpoint_term *target;
    const char *revision, *project = NULL;
    struct json *o = json_obj(a);

    if (serve_endpoint(h->opt.serve, endpoint, a, &s, err) != ERR_OK)
        return err->code;
    target = endpoint_rollback_target(&s);
    revision = release_live_revision(h, endpoint, a, &project);
    json_set(a, o, "name", json_cstr(a, endpoint));
    json_set(a, o, "live", s.live ? json_fmt(a, "r%lld", (long long)s.live) : NULL);
    json_set(a, o, "kind", s.live_doc ? json_str(a, json_get_str(s.live_doc, "kind")) : NULL);
    json_set(a, o, "threshold",
             s.live_doc && json_get(s.live_doc, "threshold")
                 ? json_copy(a, json_get(s.live_doc, "threshold"))
                 : NULL);
    json_set(a, o, "project", json_cstr(a, project));
    json_set(a, o, "revision", json_cstr(a, revision));
    json_set(a, o, "clock", json_time(a, serve_clock(h->opt.serve, endpoint)));
    json_set(a, o, "hold", hold_json(&s, a));
    json_set(a, o, "rollback_target",
             target ? json_fmt(a, "r%lld", (long long)target->release) : NULL);
    if (release_rollout(h, endpoint, a, &r))
        json_set(a, o, "rollout", rollout_json(&r, a));
    json_set(a, o, "problem", json_cstr(a, serve_problem(h->opt.serve, endpoint, a)));
    *ret = json_set(a, o, "history", history_json(&s, a));
    return ERR_OK;
}

/* ---- tables ---- */
struct rollout_query {
    int64_t id, limit;
    const char *endpoint;
    struct arena *a;
    struct json *list;
};

static enum err_code rollouts_read(struct db_tx *tx, void *arg, struct err *err)
{
    struct rollout_query *q = arg;
    struct db_rows *rows;
    enum err_code code = db_query(
        tx, &rows, err,
        "SELECT doc, started_us, ended_us, reason FROM rollouts WHERE (? = 0 OR id = ?) AND "
        "(? = '' OR endpoint = ?) ORDER BY id DESC LIMIT ?",
        "iissi", q->id, q->id, q->endpoint, q->endpoint, q->limit);

    if (code != ERR_OK)
        return code;
    q->list = json_arr(q->a);
    while (code == ERR_OK && db_next(rows)) {
        struct json *doc;
        code = json_read(db_str(rows, 0), q->a, &doc, err);
        if (code == ERR_OK && !db_is_null(rows, 2))
            json_set(q->a, doc, "ended", json_time(q->a, db_i64(rows, 2)));
        if (code == ERR_OK)
            json_add(q->a, q->list, doc);
    }
    if (db_done(rows, code == ERR_OK ? err : NULL) != ERR_OK && code == ERR_OK)
        return err->code;
    return code;
}

enum err_code release_rollout_list(struct release_host *h, const char *endpoint, int64_t limit,
                                   struct arena *a, struct json **ret, struct err *err)
{
    struct rollout_query q = {0, limit, endpoint ? endpoint : "", a, NULL};

    if (host_need_db(h, err) != ERR_OK || db_read(h->opt.db, rollouts_read, &q, err) != ERR_OK)
        return err->code;
    *ret = q.list;
    return ERR_OK;
}

static enum err_code ticks_read(struct db_tx *tx, void *arg, struct err *err)
{
    struct rollout_query *q = arg;
    struct db_rows *rows;
    enum err_code code = db_query(
        tx, &rows, err, "SELECT doc FROM rollout_ticks WHERE rollout = ? ORDER BY at_us, step", "i",
        q->id);

    if (code != ERR_OK)
        return code;
    q->list = json_arr(q->a);
    while (code == ERR_OK && db_next(rows)) {
        struct json *doc;
        code = json_read(db_str(rows, 0), q->a, &doc, err);
        if (code == ERR_OK)
            json_add(q->a, q->list, doc);
    }
    if (db_done(rows, code == ERR_OK ? err : NULL) != ERR_OK && code == ERR_OK)
        return err->code;
    return code;
}

enum err_code release_rollout_show(struct release_host *h, int64_t id, const char *endpoint,
                                   struct arena *a, struct json **ret, struct err *err)
{
    struct rollout_query q = {id, 1, endpoint ? endpoint : "", a, NULL};
    struct json *o;

    if (host_need_db(h, err) != ERR_OK || db_read(h->opt.db, rollouts_read, &q, err) != ERR_OK)
        return err->code;
    if (json_len(q.list) == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no such rollout; `pawl rollouts ls` lists them");
    o = (struct json *)(uintptr_t)json_at(q.list, 0);
    q.id = json_get_int(o, "id", 0);
    if (db_read(h->opt.db, ticks_read, &q, err) != ERR_OK)
        return err->code;
    *ret = json_set(a, o, "ticks", q.list);
    return ERR_OK;
}

enum err_code release_rollout_replay(struct release_host *h, int64_t id, struct arena *a,
                                     struct json **ret, struct err *err)
{
    struct json *doc, *out = json_obj(a), *list = json_arr(a);
    const struct json *ticks;
    struct rollout r;
    bool is_same = true;

    if (release_rollout_show(h, id, NULL, a, &doc, err) != ERR_OK ||
        rollout_from_json(doc, a, &r, err) != ERR_OK)
        return err->code;
    ticks = json_get(doc, "ticks");
    for (size_t i = 0; i < json_len(ticks); i++) {
        struct json *one;
        bool same;
        if (rollout_replay(&r, json_at(ticks, i), a, &one, &same, err) != ERR_OK)
            return err_wrap(err, "tick %zu", i);
        json_add(a, list, one);
        is_same = is_same && same;
    }
    json_set(a, out, "rollout", json_int(a, r.id));
    json_set(a, out, "endpoint", json_cstr(a, r.endpoint));
    json_set(a, out, "ticks", list);
    *ret = json_set(a, out, "is_same", json_bool(a, is_same));
    return is_same ? ERR_OK : err_set(err, ERR_NO, "a stored verdict is not what its inputs give");
}
