/* What the loop remembers of an endpoint between turns, in one row: so that a restart goes on where it was. */
#include <stdio.h>

#include "loop/loop_int.h"

struct loop_source *loop_source_get(struct loop_endpoint *ep, struct str name)
{
    struct loop_source *s;

    for (size_t i = 0; i < ep->n_sources; i++)
        if (str_is(name, ep->sources[i].name))
            return &ep->sources[i];
    if (ep->n_sources == LOOP_SOURCES_MAX || name.n >= sizeof(s->name))
        return NULL;
    s = &ep->sources[ep->n_sources++];
    *s = (struct loop_source){
        .newest_us = AT_US_NONE, .good_newest_us = AT_US_NONE, .blocked_us = AT_US_NONE};
    (void)snprintf(s->name, sizeof(s->name), "%.*s", STR_ARG(name));
    return s;
}

static struct json *source_json(const struct loop_source *s, struct arena *a)
{
    struct json *o = json_obj(a);

    json_set(a, o, "name", json_cstr(a, s->name));
    json_set(a, o, "owner", json_cstr(a, s->owner));
    json_set(a, o, "freshness_us", json_int(a, s->freshness_us));
    json_set(a, o, "seen", json_cstr(a, s->seen));
    json_set(a, o, "good", json_cstr(a, s->good));
    json_set(a, o, "newest", json_time(a, s->newest_us));
    json_set(a, o, "good_newest", json_time(a, s->good_newest_us));
    json_set(a, o, "blocked", json_time(a, s->blocked_us));
    return json_set(a, o, "blocked_by", json_cstr(a, s->blocked_by));
}

static struct json *state_json(const struct loop_endpoint *ep, struct arena *a)
{
    struct json *o = json_obj(a), *sources = json_arr(a), *pending = json_obj(a);

    for (size_t i = 0; i < ep->n_sources; i++)
        json_add(a, sources, source_json(&ep->sources[i], a));
    for (int k = 0; k < TRIGGER_KIND_N; k++)
        if (ep->pending[k].is_set) {
            struct json *p = json_obj(a);
            json_set(a, p, "at", json_time(a, ep->pending[k].at_us));
            json_set(a, p, "text", json_cstr(a, ep->pending[k].text));
            json_set(a, pending, TRIGGER_KIND_NAMES[k], p);
        }
    json_set(a, o, "sources", sources);
    json_set(a, o, "pending", pending);
    json_set(a, o, "last_lap", json_time(a, ep->last_lap_us));
    return json_set(a, o, "schedule_from", json_time(a, ep->schedule_from_us));
}

static void copy_text(char *to, size_t n, const struct json *v, const char *key)
{
    struct str s = json_get_str(v, key);

    (void)snprintf(to, n, "%.*s", STR_ARG(s.p ? s : STR("")));
}

static void state_read(const struct json *v, struct loop_endpoint *ep)
{
    const struct json *sources = json_get(v, "sources");

    for (size_t i = 0; i < json_len(sources); i++) {
        const struct json *sv = json_at(sources, i);
        struct loop_source *s = loop_source_get(ep, json_get_str(sv, "name"));
        if (!s)
            continue;
        copy_text(s->owner, sizeof(s->owner), sv, "owner");
        s->freshness_us = json_get_int(sv, "freshness_us", 0);
        copy_text(s->seen, sizeof(s->seen), sv, "seen");
        copy_text(s->good, sizeof(s->good), sv, "good");
        copy_text(s->blocked_by, sizeof(s->blocked_by), sv, "blocked_by");
        s->newest_us = json_get_time(sv, "newest");
        s->good_newest_us = json_get_time(sv, "good_newest");
        s->blocked_us = json_get_time(sv, "blocked");
    }
    for (int k = 0; k < TRIGGER_KIND_N; k++) {
        const struct json *p = json_get(json_get(v, "pending"), TRIGGER_KIND_NAMES[k]);
        ep->pending[k].is_set = p != NULL;
        ep->pending[k].at_us = json_get_time(p, "at");
        copy_text(ep->pending[k].text, sizeof(ep->pending[k].text), p, "text");
    }
    ep->last_lap_us = json_get_time(v, "last_lap");
    ep->schedule_from_us = json_get_time(v, "schedule_from");
}

static enum err_code state_query(struct db_tx *tx, void *arg, struct err *err)
{
    struct turn *t = arg;
    struct db_rows *rows;
    enum err_code code =
        db_query(tx, &rows, err, "SELECT doc FROM loop_state WHERE endpoint = ?", "s", t->ep->name);

    if (code != ERR_OK)
        return code;
    if (db_next(rows)) {
        struct json *doc;
        code = json_read(db_str(rows, 0), t->a, &doc, err);
        if (code == ERR_OK)
            state_read(doc, t->ep);
    }
    if (db_done(rows, code == ERR_OK ? err : NULL) != ERR_OK && code == ERR_OK)
        return err->code;
    return code;
}

enum err_code loop_state_load(struct turn *t)
{
    if (t->ep->is_loaded || !t->l->opt.db)
        return ERR_OK;
    t->ep->last_lap_us = t->ep->schedule_from_us = AT_US_NONE;
    if (db_read(t->l->opt.db, state_query, t, t->err) != ERR_OK)
        return err_wrap(t->err, "what the loop knew of %s", t->ep->name);
    t->ep->is_loaded = true;
    return ERR_OK;
}

struct save {
    const char *endpoint;
    struct buf doc;
    int64_t at_us;
};

static enum err_code state_write(struct db_tx *tx, void *arg, struct err *err)
{
    const struct save *s = arg;

    return db_exec(tx, err,
                   "INSERT INTO loop_state (endpoint, doc, at_us) VALUES (?,?,?) ON CONFLICT "
                   "(endpoint) DO UPDATE SET "
                   "doc = excluded.doc, at_us = excluded.at_us",
                   "sti", s->endpoint, buf_view(&s->doc), s->at_us);
}

enum err_code loop_state_save(struct turn *t)
{
    struct save s = {.endpoint = t->ep->name, .at_us = clock_now_us(&t->l->opt.clock)};
    enum err_code code;

    if (!t->l->opt.db || !t->ep->is_loaded)
        return ERR_OK;
    buf_init(&s.doc, (size_t)4 << 20);
    code = json_write(state_json(t->ep, t->a), JSON_COMPACT, &s.doc, t->err);
    if (code == ERR_OK)
        code = db_write(t->l->opt.db, state_write, &s, t->err);
    buf_fini(&s.doc);
    return code;
}
