/* The graph as a list, without running it. */
#include "pipeline/pipe_open.h"

struct last {
    const char *project, *step;
    struct arena *a;
    const char *run;
    int64_t at_us;
};

static enum err_code read_last(struct db_tx *tx, void *arg, struct err *err)
{
    struct last *l = arg;
    struct db_rows *r = NULL;
    l->run = NULL;
    l->at_us = AT_US_NONE;
    enum err_code code =
        db_query(tx, &r, err, "SELECT run_id, at_us FROM step_last WHERE project = ? AND step = ?",
                 "ss", l->project, l->step);
    if (code != ERR_OK)
        return code;
    if (db_next(r)) {
        l->run = db_dup(r, 0, l->a);
        l->at_us = db_i64(r, 1);
    }
    return db_done(r, err);
}

static enum err_code step_row(struct pipe *p, const struct step *s, struct json *list,
                              struct err *err)
{
    struct arena *a = p->a;
    struct json *v = json_obj(a), *needs = json_arr(a);
    struct last l = {.project = p->spec->project.name, .step = s->name, .a = a};
    enum err_code code = db_read(p->host->db, read_last, &l, err);
    for (size_t i = 0; i < s->n_needs; i++)
        (void)json_add(a, needs, json_cstr(a, s->needs[i]->name));
    (void)json_set(a, v, "name", json_cstr(a, s->name));
    (void)json_set(a, v, "kind", json_cstr(a, s->ops->kind));
    (void)json_set(a, v, "needs", needs);
    (void)json_set(a, v, "last_run", json_cstr(a, l.run));
    (void)json_set(a, v, "at", json_time(a, l.at_us));
    (void)json_add(a, list, v);
    return code;
}

enum err_code pipeline_steps(const struct pipeline_host *host, const char *root, struct arena *a,
                             struct json **ret, struct err *err)
{
    struct pipe p;
    struct json *list = json_arr(a);
    const struct pipeline_order order = {.root = root};
    enum err_code code = pipe_open(host, &order, a, &p, err);
    for (size_t i = 0; code == ERR_OK && i < p.graph.n; i++)
        code = step_row(&p, p.graph.steps[i], list, err);
    pipe_close(&p);
    if (code == ERR_OK)
        *ret = json_set(a, json_obj(a), "steps", list);
    return code;
}
