#include "pipeline/reproduce.h"

#include <math.h>

#include "base/check.h"
#include "base/file.h"
#include "pipeline/graph.h"
#include "track/track.h"

#define ENVIRONMENT_BYTES_MAX ((size_t)4 << 20)

struct reproduction {
    const struct pipeline_host *host;
    const struct reproduce_order *o;
    struct arena *a;
    struct pipeline_result of; /* the record */
    struct json *compared, *differed, *environment, *spread, *runs;
    bool is_identical, is_close;
};

static const struct json *step_of(const struct json *doc, const char *name)
{
    const struct json *steps = json_get(doc, "steps");
    for (size_t i = 0; i < json_len(steps); i++) {
        const char *have = json_get_c(json_at(steps, i), "name");
        if (have != NULL && strcmp(have, name) == 0)
            return json_at(steps, i);
    }
    return NULL;
}

/* Reports hold measured times; what they say about the model is compared metric by metric. */
static bool is_content(const char *name)
{
    return strcmp(name, "evaluate") != 0 && strcmp(name, "register") != 0;
}

static void compare(struct reproduction *r, const char *what, const struct json *recorded,
                    const struct json *got, bool is_same)
{
    struct json *c = json_obj(r->a);
    (void)json_set(r->a, c, "what", json_cstr(r->a, what));
    (void)json_set(r->a, c, "recorded", recorded != NULL ? json_copy(r->a, recorded) : NULL);
    (void)json_set(r->a, c, "got", got != NULL ? json_copy(r->a, got) : NULL);
    (void)json_set(r->a, c, "is_same", json_bool(r->a, is_same));
    (void)json_add(r->a, r->compared, c);
}

static void compare_steps(struct reproduction *r, const struct pipeline_result *now)
{
    const struct json *steps = json_get(r->of.doc, "steps");
    bool has_named = false;
    for (size_t i = 0; i < json_len(steps); i++) {
        const struct json *was = json_at(steps, i);
        const char *name = json_get_c(was, "name");
        const struct json *is = name != NULL ? step_of(now->doc, name) : NULL;
        if (is == NULL || !is_content(name) || json_get(was, "digest") == NULL)
            continue;
        bool is_same = json_get(is, "digest") != NULL &&
                       json_eq(json_get(was, "digest"), json_get(is, "digest"));
        compare(r, name, json_get(was, "digest"), json_get(is, "digest"), is_same);
        r->is_identical = r->is_identical && is_same;
        if (!is_same && !has_named) {
            has_named = true;
            (void)json_add(r->a, r->differed,
                           json_fmt(r->a, "the first step with another result is %s", name));
        }
    }
}

static void widen(struct reproduction *r, const char *key, double v)
{
    struct json *s = (struct json *)(uintptr_t)json_get(r->spread, key);
    if (s == NULL) {
        s = json_obj(r->a);
        (void)json_set(r->a, s, "min", json_num(r->a, v));
        (void)json_set(r->a, s, "max", json_num(r->a, v));
        (void)json_set(r->a, r->spread, key, s);
        return;
    }
    if (v < json_get_f64(s, "min", v))
        (void)json_set(r->a, s, "min", json_num(r->a, v));
    if (v > json_get_f64(s, "max", v))
        (void)json_set(r->a, s, "max", json_num(r->a, v));
}

static void compare_metric(struct reproduction *r, const char *key, const struct json *was,
                           const struct json *is)
{
    double a = NAN, b = NAN;
    bool has_both = json_as_f64(was, &a) && json_as_f64(is, &b);
    bool is_same = has_both && (a == b || (isnan(a) && isnan(b)));
    compare(r, key, was, is, is_same);
    if (has_both)
        widen(r, key, b);
    r->is_identical = r->is_identical && is_same;
    if (is_same)
        return;
    bool is_close = has_both && fabs(a - b) <= r->o->tolerance;
    r->is_close = r->is_close && is_close;
    (void)json_add(r->a, r->differed, json_fmt(r->a, "%s was %.17g and is %.17g", key, a, b));
}

static void compare_metrics(struct reproduction *r, const struct pipeline_result *now)
{
    const struct json *was = json_path(r->of.evaluation, "models.candidate.splits");
    const struct json *is = json_path(now->evaluation, "models.candidate.splits");
    for (size_t i = 0; i < json_len(was); i++) {
        const char *split = str_dup(r->a, was->u.obj.members[i].key);
        const struct json *metrics = json_get(was->u.obj.members[i].val, "metrics");
        for (size_t k = 0; split != NULL && k < json_len(metrics); k++) {
            const char *name = str_dup(r->a, metrics->u.obj.members[k].key);
            const char *key = str_printf(r->a, "%s.%s", split, name);
            const struct json *other = json_get(json_get(json_get(is, split), "metrics"), name);
            if (key != NULL)
                compare_metric(r, key, json_get(metrics->u.obj.members[k].val, "value"),
                               json_get(other, "value"));
        }
    }
}

/* The record of a run's environment, or NULL. */
static const struct json *environment_of(struct reproduction *r, const char *run)
{
    char *dir = NULL;
    struct str text = STR_NONE;
    struct json *doc = NULL;
    if (run_artifact_dir(r->host->track, run, RUN_DIR_MAY_BE_ABSENT, r->a, &dir, NULL) != ERR_OK ||
        dir == NULL)
        return NULL;
    const char *path = path_join(r->a, dir, "pawl/environment.json");
    if (path == NULL || file_read(path, ENVIRONMENT_BYTES_MAX, r->a, &text, NULL) != ERR_OK ||
        json_read(text, r->a, &doc, NULL) != ERR_OK)
        return NULL;
    return doc;
}

static enum err_code run_again(struct reproduction *r, const char *pins, struct err *err)
{
    static const char *const STEPS[] = {"evaluate"};
    const struct json *model = json_get(r->of.doc, "model");
    struct pipeline_result now;
    struct pipeline_order order = {.revision = r->of.revision,
                                   .steps = STEPS,
                                   .n_steps = model != NULL ? 1 : 0,
                                   .as_of_us = json_get_time(r->of.doc, "as_of"),
                                   .benchmark_until_us =
                                       json_get_time(r->of.doc, "benchmark_until"),
                                   .cache = PIPELINE_CACHE_BYPASS,
                                   .pins = pins,
                                   .parent_run = r->of.run_id,
                                   .actor = r->o->actor,
                                   .reason = "reproduce",
                                   .is_cancelled = r->o->is_cancelled,
                                   .on_progress = r->o->on_progress,
                                   .progress_arg = r->o->progress_arg};
    if (json_get(r->of.doc, "seed") != NULL) {
        order.is_seed = true;
        order.seed = json_get_int(r->of.doc, "seed", 0);
    }
    enum err_code code = pipeline_run(r->host, &order, r->a, &now, err);
    if (code != ERR_OK)
        return code == ERR_NO ? ERR_REFUSED : code;
    (void)json_add(r->a, r->runs, json_cstr(r->a, now.run_id));
    compare_steps(r, &now);
    compare_metrics(r, &now);
    if (json_len(r->environment) == 0) {
        const struct json *was = environment_of(r, r->of.run_id),
                          *is = environment_of(r, now.run_id);
        if (was != NULL && is != NULL)
            r->environment = parts_diff(was, is, r->a);
    }
    return ERR_OK;
}

static const char *verdict(const struct reproduction *r)
{
    if (r->is_identical)
        return "identical";
    return r->is_close && r->o->tolerance > 0 && json_len(r->spread) > 0 ? "within_tolerance"
                                                                         : "different";
}

static struct json *answer(struct reproduction *r)
{
    struct json *d = json_obj(r->a);
    (void)json_set(r->a, d, "run", json_cstr(r->a, r->of.run_id));
    (void)json_set(r->a, d, "verdict", json_cstr(r->a, verdict(r)));
    (void)json_set(r->a, d, "times", json_int(r->a, r->o->times));
    (void)json_set(r->a, d, "runs", r->runs);
    (void)json_set(r->a, d, "differed", r->differed);
    (void)json_set(r->a, d, "environment", r->environment);
    (void)json_set(r->a, d, "spread", r->spread);
    return json_set(r->a, d, "compared", r->compared);
}

enum err_code pipeline_reproduce(const struct pipeline_host *host, const struct reproduce_order *o,
                                 struct arena *a, struct json **ret, struct err *err)
{
    struct reproduction r = {.host = host,
                             .o = o,
                             .a = a,
                             .compared = json_arr(a),
                             .differed = json_arr(a),
                             .environment = json_arr(a),
                             .spread = json_obj(a),
                             .runs = json_arr(a),
                             .is_identical = true,
                             .is_close = true};
    char id[RUN_ID_BYTES];
    struct buf pins;
    buf_init(&pins, 1 << 20);
    if (o->times < 1 || o->times > REPRODUCE_TIMES_MAX)
        return err_set(err, ERR_RANGE, "times is 1 to %d", REPRODUCE_TIMES_MAX);
    enum err_code code = run_find(host->track, o->run_id, id, err);
    if (code == ERR_OK)
        code = pipeline_result_load(host, id, a, &r.of, err);
    if (code == ERR_OK)
        code = json_write(r.of.data, JSON_CANONICAL, &pins, err);
    const char *text = code == ERR_OK ? str_dup(a, buf_view(&pins)) : NULL;
    for (int i = 0; code == ERR_OK && i < o->times; i++)
        code = run_again(&r, text, err);
    buf_fini(&pins);
    if (code != ERR_OK)
        return err_wrap(err, "reproduce %s", o->run_id);
    *ret = answer(&r);
    if (r.is_identical || strcmp(verdict(&r), "within_tolerance") == 0)
        return ERR_OK;
    return err_set(err, ERR_NO, "run %s gave another result: %s", id,
                   json_len(r.differed) > 0 ? json_at(r.differed, 0)->u.s.p : "see `compared`");
}
