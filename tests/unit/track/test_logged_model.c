#include "test.h"

#include <math.h>
#include <stdio.h>

#include "fixture/home.h"
#include "track/logged_model.h"

struct fixture {
    struct home home;
    struct track *track;
    char run[RUN_ID_BYTES];
};
#define BOTH_FIXTURE struct fixture

static void fixture_open(struct fixture *f)
{
    struct err err = ERR_INIT;
    char dir[96];
    snprintf(dir, sizeof(dir), "%s/artifacts", f->home.dir);
    ASSERT_OK(track_open(f->home.db, dir, &f->home.clock, &f->track, &err), &err);
    struct run_new n = {.name = "r"};
    ASSERT_OK(run_create(f->track, &n, f->run, &err), &err);
}

static void fixture_close(struct fixture *f)
{
    track_close(f->track);
}

#include "fixture/both.h"

static void make(struct fixture *f, const char *name, char id[LOGGED_MODEL_ID_BYTES])
{
    struct err err = ERR_INIT;
    struct tag tag = {"team", "ml"}, param = {"depth", "6"};
    struct logged_model m = {.name = name,
                             .source_run_id = f->run,
                             .tags = &tag,
                             .n_tags = 1,
                             .params = &param,
                             .n_params = 1};
    f->home.at_us += US_PER_S;
    ASSERT_OK(logged_model_create(f->track, &m, id, &err), &err);
}

static void a_model_waits_and_becomes_ready(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    struct logged_model m;
    char id[LOGGED_MODEL_ID_BYTES], want[128];
    make(f, "model", id);
    ASSERT_OK(logged_model_get(f->track, id, &f->home.arena, &m, &err), &err);
    assert_int_equal(m.status, LOGGED_MODEL_PENDING);
    assert_string_equal(m.params[0].value, "6");
    snprintf(want, sizeof(want), "mlflow-artifacts:/0/models/%s/artifacts", id);
    assert_string_equal(m.artifact_uri, want);
    struct logged_model_metric metric = {{"auc", NAN, 1, 5}, f->run, "d", "x"};
    struct tag again = {"depth", "7"}, tag = {"team", "data"};
    struct logged_model_batch b = {.status = LOGGED_MODEL_READY,
                                   .metrics = &metric,
                                   .n_metrics = 1,
                                   .params = &again,
                                   .n_params = 1,
                                   .tags = &tag,
                                   .n_tags = 1};
    ASSERT_OK(logged_model_log(f->track, id, &b, &err), &err);
    ASSERT_OK(logged_model_log(f->track, id, &b, &err), &err);
    ASSERT_OK(logged_model_get(f->track, id, &f->home.arena, &m, &err), &err);
    assert_int_equal(m.status, LOGGED_MODEL_READY);
    assert_string_equal(m.params[0].value, "6"); /* params stay as first given */
    assert_string_equal(m.tags[0].value, "data");
    assert_int_equal(m.n_metrics, 1);
    assert_true(isnan(m.metrics[0].point.value));
    ASSERT_OK(logged_model_tag_delete(f->track, id, "team", &err), &err);
    ASSERT_OK(logged_model_delete(f->track, id, &err), &err);
    assert_int_equal(logged_model_log(f->track, id, &b, &err), ERR_NOT_FOUND);
    ASSERT_OK(logged_model_get(f->track, id, &f->home.arena, &m, &err), &err);
    assert_true(m.is_deleted);
}

static void names_and_experiments_are_checked(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    char id[LOGGED_MODEL_ID_BYTES];
    struct logged_model m = {.name = "a/b"};
    assert_int_equal(logged_model_create(f->track, &m, id, &err), ERR_INVALID);
    m.name = "fine";
    m.experiment_id = 99;
    assert_int_equal(logged_model_create(f->track, &m, id, &err), ERR_NOT_FOUND);
    struct logged_model got;
    assert_int_equal(logged_model_get(f->track, "m-0", &f->home.arena, &got, &err), ERR_NOT_FOUND);
}

static void searches_and_edges(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    char ids[3][LOGGED_MODEL_ID_BYTES], *token = NULL;
    const char *names[] = {"a", "b", "c"};
    struct logged_model *list = NULL;
    struct run_model *edges = NULL;
    size_t n = 0;
    int64_t experiment = 0;
    for (int i = 0; i < 3; i++) {
        make(f, names[i], ids[i]);
        struct logged_model_metric metric = {{"auc", 0.1 * i, 0, 1}, f->run, "", ""};
        struct logged_model_batch b = {.metrics = &metric, .n_metrics = i > 0};
        ASSERT_OK(logged_model_log(f->track, ids[i], &b, &err), &err);
    }
    struct search_query q = {
        .experiment_ids = &experiment, .n_experiment_ids = 1, .limit = 2, .filter = "name != 'x'"};
    ASSERT_OK(logged_model_search(f->track, &q, &f->home.arena, &list, &n, &token, &err), &err);
    assert_int_equal(n, 2);
    assert_string_equal(list[0].name, "c");
    assert_string_equal(token, "2");
    const char *order = "metrics.auc DESC";
    struct search_query best = {.limit = 10, .order_by = &order, .n_order_by = 1};
    ASSERT_OK(logged_model_search(f->track, &best, &f->home.arena, &list, &n, &token, &err), &err);
    assert_int_equal(n, 3);
    assert_string_equal(list[0].name, "c");
    assert_string_equal(list[2].name, "a"); /* without the metric: last */
    struct run_model made[] = {{ids[0], 3}, {ids[1], 1}};
    ASSERT_OK(run_models_put(f->track, f->run, RUN_MODEL_OUTPUT, made, 2, &err), &err);
    ASSERT_OK(run_models_put(f->track, f->run, RUN_MODEL_OUTPUT, made, 2, &err), &err);
    ASSERT_OK(run_models_get(f->track, f->run, RUN_MODEL_OUTPUT, &f->home.arena, &edges, &n, &err),
              &err);
    assert_int_equal(n, 2);
    assert_string_equal(edges[0].model_id, ids[1]);
    ASSERT_OK(run_models_get(f->track, f->run, RUN_MODEL_INPUT, &f->home.arena, &edges, &n, &err),
              &err);
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_model_waits_and_becomes_ready),
        ON_BOTH(names_and_experiments_are_checked),
        ON_BOTH(searches_and_edges),
    };
    return RUN_ON_BOTH(tests);
}
