/* runs ls, show, diff; experiments. */
#include "api/op_handlers.h"
#include "api/services.h"
#include "track/search.h"
#include "track/track.h"

#define RUNS_LIMIT_MAX     5000
#define HISTORY_POINTS_MAX 100000

static enum err_code track_of(const struct op_call *call, struct track **ret, struct err *err)
{
    *ret = call->sv->track;
    return services_need(*ret, "the tracking store", err);
}

static enum err_code limit_of(const struct json *in, int64_t max, int64_t *ret, struct err *err)
{
    *ret = json_get_int(in, "limit", 0);
    if (*ret >= 1 && *ret <= max)
        return ERR_OK;
    return err_set(err, ERR_USAGE, "limit must be 1 to %lld", (long long)max);
}

/* A number is an id, anything else a name. */
static enum err_code experiment_of(struct track *t, struct str ref, struct arena *a, int64_t *ret,
                                   struct err *err)
{
    struct experiment e;
    char *name = str_dup(a, ref);
    if (!name)
        return arena_err(a, err);
    enum err_code code = parse_i64(ref, ret, NULL) == ERR_OK
                             ? experiment_get(t, *ret, a, &e, err)
                             : experiment_get_by_name(t, name, a, &e, err);
    if (code == ERR_OK)
        *ret = e.id;
    return code;
}

static enum err_code view_of(struct str name, enum life_view *ret, struct err *err)
{
    static const char *const NAMES[LIFE_VIEW_N] = {"active", "deleted", "all"};
    for (int i = 0; i < LIFE_VIEW_N; i++)
        if (str_is(name, NAMES[i])) {
            *ret = (enum life_view)i;
            return ERR_OK;
        }
    return err_set(err, ERR_USAGE, "view must be active, deleted or all");
}

static enum err_code query_of(struct track *t, const struct json *in, struct arena *a,
                              struct search_query *q, struct err *err)
{
    const struct json *experiments = json_get(in, "experiment"), *order = json_get(in, "order_by");
    size_t n = json_len(experiments), n_order = json_len(order);
    int64_t *ids = ARENA_NEW_N(a, int64_t, n);
    const char **items = ARENA_NEW_N(a, const char *, n_order);
    if (!ids || !items)
        return arena_err(a, err);
    *q = (struct search_query){.filter = json_get_c(in, "filter"),
                               .page_token = json_get_c(in, "page_token"),
                               .experiment_ids = ids,
                               .n_experiment_ids = n,
                               .order_by = items,
                               .n_order_by = n_order};
    enum err_code code = limit_of(in, RUNS_LIMIT_MAX, &q->limit, err);
    if (code == ERR_OK)
        code = view_of(json_get_str(in, "view"), &q->view, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++)
        code = experiment_of(t, json_at(experiments, i)->u.s, a, &ids[i], err);
    for (size_t i = 0; i < n_order && code == ERR_OK; i++)
        if (!(items[i] = str_dup(a, json_at(order, i)->u.s)))
            code = arena_err(a, err);
    return code;
}

enum err_code op_runs_list(struct op_call *call, const struct json *in, struct json **ret,
                           struct err *err)
{
    struct arena *a = call->arena;
    struct track *t = NULL;
    struct search_query q;
    struct run *runs = NULL;
    size_t n = 0;
    char *token = NULL;
    enum err_code code = track_of(call, &t, err);
    if (code == ERR_OK)
        code = query_of(t, in, a, &q, err);
    if (code == ERR_OK)
        code = run_search(t, &q, a, &runs, &n, &token, err);
    if (code != ERR_OK)
        return code;
    struct json *list = json_arr(a);
    for (size_t i = 0; i < n; i++)
        json_add(a, list, run_json(&runs[i], a));
    *ret =
        json_set(a, json_set(a, json_obj(a), "runs", list), "next_page_token", json_cstr(a, token));
    return ERR_OK;
}

static enum err_code histories_put(struct track *t, const char *id, const struct json *keys,
                                   struct arena *a, struct json *out, struct err *err)
{
    struct json *all = json_obj(a);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < json_len(keys) && code == ERR_OK; i++) {
        struct metric_point *points = NULL;
        size_t n = 0;
        char *key = str_dup(a, json_at(keys, i)->u.s);
        struct history_query q = {.run_id = id, .key = key, .limit = HISTORY_POINTS_MAX};
        code = key ? metric_history(t, &q, a, &points, &n, err) : arena_err(a, err);
        struct json *list = json_arr(a);
        for (size_t k = 0; k < n && code == ERR_OK; k++) {
            struct json *p = json_obj(a);
            json_set(a, p, "step", json_int(a, points[k].step));
            json_set(a, p, "time", json_time(a, points[k].at_us));
            json_add(a, list, json_set(a, p, "value", json_num(a, points[k].value)));
        }
        if (code == ERR_OK)
            json_set(a, all, key, list);
    }
    if (json_len(keys) > 0)
        json_set(a, out, "history", all);
    return code;
}

/* The run that a person means. */
static enum err_code run_of(struct track *t, const struct json *in, const char *param,
                            struct arena *a, struct run *ret, struct err *err)
{
    char id[RUN_ID_BYTES];
    enum err_code code = run_find(t, json_get_c(in, param), id, err);
    return code == ERR_OK ? run_get(t, id, a, ret, err) : code;
}

enum err_code op_runs_show(struct op_call *call, const struct json *in, struct json **ret,
                           struct err *err)
{
    struct track *t = NULL;
    struct run r;
    enum err_code code = track_of(call, &t, err);
    if (code == ERR_OK)
        code = run_of(t, in, "run", call->arena, &r, err);
    if (code != ERR_OK)
        return code;
    struct json *out = run_json(&r, call->arena);
    code = histories_put(t, r.info.id, json_get(in, "history"), call->arena, out, err);
    if (code == ERR_OK)
        *ret = out;
    return code;
}

enum err_code op_runs_diff(struct op_call *call, const struct json *in, struct json **ret,
                           struct err *err)
{
    struct track *t = NULL;
    struct run a, b;
    enum err_code code = track_of(call, &t, err);
    if (code == ERR_OK)
        code = run_of(t, in, "a", call->arena, &a, err);
    if (code == ERR_OK)
        code = run_of(t, in, "b", call->arena, &b, err);
    if (code == ERR_OK)
        *ret = run_diff_json(&a, &b, call->arena);
    return code;
}

enum err_code op_experiments_list(struct op_call *call, const struct json *in, struct json **ret,
                                  struct err *err)
{
    struct arena *a = call->arena;
    struct track *t = NULL;
    struct experiment *list = NULL;
    struct search_query q = {.filter = json_get_c(in, "filter"),
                             .page_token = json_get_c(in, "page_token")};
    size_t n = 0;
    char *token = NULL;
    enum err_code code = track_of(call, &t, err);
    if (code == ERR_OK)
        code = limit_of(in, RUNS_LIMIT_MAX, &q.limit, err);
    if (code == ERR_OK)
        code = experiment_search(t, &q, a, &list, &n, &token, err);
    if (code != ERR_OK)
        return code;
    struct json *out = json_arr(a);
    for (size_t i = 0; i < n; i++)
        json_add(a, out, experiment_json(&list[i], a));
    *ret = json_set(a, json_set(a, json_obj(a), "experiments", out), "next_page_token",
                    json_cstr(a, token));
    return ERR_OK;
}
