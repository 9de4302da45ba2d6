#include "pipeline/evaluate.h"

#include <math.h>

#include "base/check.h"
#include "pipeline/pipe_open.h"

/* The run's data set through the cache (computed anew when the store lost it), then the models on it. */
static enum err_code evaluate_opened(struct pipe *p, const struct pipeline_models *models,
                                     struct arena *a, struct json **ret, struct err *err)
{
    struct json *report = NULL;
    if (p->dataset == NULL)
        return err_set(err, ERR_REFUSED, "project %s has no dataset section",
                       p->spec->project.name);
    enum err_code code = pipe_run_graph(p, err);
    if (code == ERR_OK)
        code = pipe_evaluate_models(p, p->dataset, models, &report, err);
    if (code == ERR_OK)
        *ret = json_copy(a, report);
    if (p->run_id[0] == '\0')
        return code;
    struct pipeline_result res;
    struct err why = ERR_INIT, more = ERR_INIT;
    if (code != ERR_OK && err != NULL)
        why = *err;
    if (result_fill(p, code, &res, &more) == ERR_OK &&
        record_close(p, &res, &why, &more) != ERR_OK && code == ERR_OK) {
        *err = more;
        code = more.code;
    }
    return code;
}

enum err_code pipeline_evaluate(const struct pipeline_host *host, const char *run_id,
                                const struct pipeline_models *models, struct arena *a,
                                struct json **ret, struct err *err)
{
    static const char *const STEPS[] = {"dataset"};
    struct pipeline_result of;
    struct arena own;
    struct buf pins;
    struct pipe p;
    CHECK(models->n > 0 && models->n <= PIPELINE_MODELS_MAX);
    arena_init(&own, (size_t)1 << 30);
    buf_init(&pins, 1 << 20);
    enum err_code code = pipeline_result_load(host, run_id, &own, &of, err);
    if (code == ERR_OK && of.data != NULL)
        code = json_write(of.data, JSON_CANONICAL, &pins, err);
    if (code == ERR_OK) {
        struct pipeline_order order = {.revision = of.revision,
                                       .steps = STEPS,
                                       .n_steps = 1,
                                       .as_of_us = json_get_time(of.doc, "as_of"),
                                       .benchmark_until_us =
                                           json_get_time(of.doc, "benchmark_until"),
                                       .pins = str_dup(&own, buf_view(&pins)),
                                       .reason = "evaluate models",
                                       .is_cancelled = models->is_cancelled};
        code = pipe_open(host, &order, &own, &p, err);
        if (code == ERR_OK)
            code = evaluate_opened(&p, models, a, ret, err);
        pipe_close(&p);
    }
    buf_fini(&pins);
    arena_fini(&own);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "evaluate on the data of run %s", run_id);
}
