#include "test.h"

#include <math.h>
#include <stdio.h>

#include "fixture/home.h"
#include "track/track.h"

struct fixture {
    struct home home;
    struct track *track;
};
#define BOTH_FIXTURE struct fixture

static void fixture_open(struct fixture *f)
{
    struct err err = ERR_INIT;
    char dir[96];
    snprintf(dir, sizeof(dir), "%s/artifacts", f->home.dir);
    ASSERT_OK(track_open(f->home.db, dir, &f->home.clock, &f->track, &err), &err);
}

static void fixture_close(struct fixture *f)
{
    track_close(f->track);
}

#include "fixture/both.h"

static void new_run(struct fixture *f, char id[RUN_ID_BYTES])
{
    struct err err = ERR_INIT;
    struct run_new n = {.experiment_id = 0, .name = "first"};
    ASSERT_OK(run_create(f->track, &n, id, &err), &err);
}

static struct run get(struct fixture *f, const char *id)
{
    struct err err = ERR_INIT;
    struct run r;
    ASSERT_OK(run_get(f->track, id, &f->home.arena, &r, &err), &err);
    return r;
}

static const char *tag_of(const struct run *r, const char *key)
{
    for (size_t i = 0; i < r->n_tags; i++)
        if (strcmp(r->tags[i].key, key) == 0)
            return r->tags[i].value;
    return NULL;
}

static void experiments_have_one_name_each(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    struct experiment e;
    int64_t id = 0, same = 0;
    ASSERT_OK(experiment_get(f->track, 0, &f->home.arena, &e, &err), &err);
    assert_string_equal(e.name, "Default");
    struct tag tag = {"team", "ml"};
    ASSERT_OK(experiment_create(f->track, "churn", NULL, &tag, 1, &id, &err), &err);
    assert_int_equal(id, 1);
    assert_int_equal(experiment_create(f->track, "churn", NULL, NULL, 0, &same, &err), ERR_EXISTS);
    ASSERT_OK(experiment_ensure(f->track, "churn", &same, &err), &err);
    assert_int_equal(same, id);
    ASSERT_OK(experiment_get_by_name(f->track, "churn", &f->home.arena, &e, &err), &err);
    assert_int_equal(e.n_tags, 1);
    assert_string_equal(e.tags[0].value, "ml");
    ASSERT_OK(experiment_tag_set(f->track, id, "team", "data", &err), &err);
    assert_int_equal(experiment_tag_delete(f->track, id, "absent", &err), ERR_NOT_FOUND);
    ASSERT_OK(experiment_rename(f->track, id, "churn 2", &err), &err);
    assert_int_equal(experiment_rename(f->track, id, "Default", &err), ERR_EXISTS);
    assert_int_equal(experiment_get(f->track, 99, &f->home.arena, &e, &err), ERR_NOT_FOUND);
    assert_string_equal(err.msg, "No Experiment with id=99 exists");
}

static void a_deleted_experiment_takes_its_runs_along(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    int64_t id = 0;
    char run[RUN_ID_BYTES];
    ASSERT_OK(experiment_create(f->track, "x", NULL, NULL, 0, &id, &err), &err);
    struct run_new n = {.experiment_id = id};
    ASSERT_OK(run_create(f->track, &n, run, &err), &err);
    ASSERT_OK(experiment_delete(f->track, id, &err), &err);
    assert_int_equal(experiment_delete(f->track, id, &err), ERR_NOT_FOUND);
    assert_true(get(f, run).info.is_deleted);
    assert_int_equal(run_create(f->track, &n, run, &err), ERR_REFUSED);
    assert_int_equal(experiment_tag_set(f->track, id, "a", "b", &err), ERR_REFUSED);
    int64_t same;
    assert_int_equal(experiment_ensure(f->track, "x", &same, &err), ERR_REFUSED);
    ASSERT_OK(experiment_restore(f->track, id, &err), &err);
    assert_false(get(f, run).info.is_deleted);
}

static void a_run_says_what_it_was_given(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    char parent[RUN_ID_BYTES], child[RUN_ID_BYTES];
    new_run(f, parent);
    assert_int_equal(strlen(parent), 32);
    struct tag tags[] = {{"k", "v"}, {"k", "last wins"}};
    struct run_new n = {.parent_id = parent, .user = "eve", .tags = tags, .n_tags = 2};
    ASSERT_OK(run_create(f->track, &n, child, &err), &err);
    struct run r = get(f, child);
    assert_string_equal(r.info.parent_id, parent);
    assert_string_equal(tag_of(&r, "mlflow.parentRunId"), parent);
    assert_string_equal(tag_of(&r, "mlflow.runName"), r.info.name);
    assert_string_equal(tag_of(&r, "k"), "last wins");
    assert_true(strlen(r.info.name) > 4);
    assert_int_equal(r.info.status, RUN_RUNNING);
    assert_int_equal(r.info.start_us, f->home.at_us);
    assert_int_equal(r.info.end_us, AT_US_NONE);
    f->home.at_us += US_PER_S;
    ASSERT_OK(run_end(f->track, child, RUN_FINISHED, AT_US_NONE, &err), &err);
    struct run_update u = {.has_name = true, .name = "renamed"};
    ASSERT_OK(run_update(f->track, child, &u, &err), &err);
    r = get(f, child);
    assert_int_equal(r.info.end_us - r.info.start_us, US_PER_S);
    assert_string_equal(tag_of(&r, "mlflow.runName"), "renamed");
    struct tag rename = {"mlflow.runName", "by tag"};
    struct run_batch b = {.tags = &rename, .n_tags = 1};
    ASSERT_OK(run_log(f->track, child, &b, &err), &err);
    assert_string_equal(get(f, child).info.name, "by tag");
    struct run_new both = {.name = "a", .tags = &rename, .n_tags = 1};
    assert_int_equal(run_create(f->track, &both, child, &err), ERR_INVALID);
    struct run_new again = {.id = parent};
    assert_int_equal(run_create(f->track, &again, NULL, &err), ERR_EXISTS);
}

static void params_never_change(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    char id[RUN_ID_BYTES];
    new_run(f, id);
    struct param p = {"depth", "6"}, other = {"depth", "7"}, twice[] = {{"a", "1"}, {"a", "1"}};
    struct run_batch b = {.params = &p, .n_params = 1};
    ASSERT_OK(run_log(f->track, id, &b, &err), &err);
    ASSERT_OK(run_log(f->track, id, &b, &err), &err);
    b.params = &other;
    assert_int_equal(run_log(f->track, id, &b, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "Changing param values is not allowed. Param with key='depth' "
                                    "was already logged with value='6'"));
    struct run_batch dup = {.params = twice, .n_params = 2};
    assert_int_equal(run_log(f->track, id, &dup, &err), ERR_INVALID);
    struct run r = get(f, id);
    assert_int_equal(r.n_params, 1);
    assert_string_equal(r.params[0].value, "6");
}

static void a_batch_is_whole_or_nothing(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    char id[RUN_ID_BYTES];
    new_run(f, id);
    struct param p[] = {{"a", "1"}};
    struct metric_point bad[] = {{"fine", 1, 0, 5}, {"bad key?", 1, 0, 5}};
    struct run_batch b = {.params = p, .n_params = 1, .metrics = bad, .n_metrics = 2};
    assert_int_equal(run_log(f->track, id, &b, &err), ERR_INVALID);
    struct param first = {"z", "1"}, changed[] = {{"new", "1"}, {"z", "2"}};
    struct run_batch ok = {.params = &first, .n_params = 1};
    ASSERT_OK(run_log(f->track, id, &ok, &err), &err);
    struct run_batch half = {.params = changed, .n_params = 2};
    assert_int_equal(run_log(f->track, id, &half, &err), ERR_INVALID);
    assert_int_equal(get(f, id).n_params, 1);
    assert_int_equal(get(f, id).n_metrics, 0);
}

static void every_number_comes_back(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    char id[RUN_ID_BYTES];
    new_run(f, id);
    const double values[] = {0.1, -0.0, NAN, INFINITY, -INFINITY, 1e-310, 1.7976931348623157e308};
    struct metric_point m[7];
    for (int i = 0; i < 7; i++)
        m[i] = (struct metric_point){"v", values[i], i, 1000 * i};
    struct run_batch b = {.metrics = m, .n_metrics = 7};
    ASSERT_OK(run_log(f->track, id, &b, &err), &err);
    ASSERT_OK(run_log(f->track, id, &b, &err), &err);
    struct metric_point *got = NULL;
    size_t n = 0;
    struct history_query q = {.run_id = id, .key = "v"};
    ASSERT_OK(metric_history(f->track, &q, &f->home.arena, &got, &n, &err), &err);
    assert_int_equal(n, 7);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(got[i].step, (int64_t)i);
        if (isnan(values[i]))
            assert_true(isnan(got[i].value));
        else
            assert_true(got[i].value == values[i]);
    }
    q.offset = 2;
    q.limit = 3;
    ASSERT_OK(metric_history(f->track, &q, &f->home.arena, &got, &n, &err), &err);
    assert_int_equal(n, 3);
    assert_true(isinf(got[1].value));
    assert_true(get(f, id).metrics[0].value == 1.7976931348623157e308);
}

/* The greatest (step, time, value), however the points arrive. */
static void the_latest_is_a_fact_of_the_points(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    const struct metric_point points[] = {
        {"m", 5, 1, 10}, {"m", 9, 0, 99}, {"m", 4, 1, 10}, {"m", NAN, 1, 10}, {"m", 2, 1, 9}};
    static const size_t ORDERS[][5] = {{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {3, 0, 4, 2, 1}};
    for (size_t o = 0; o < 3; o++)
        for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
            char id[RUN_ID_BYTES];
            struct metric_point m[5];
            new_run(f, id);
            for (size_t i = 0; i < 5; i++)
                m[i] = points[ORDERS[o][i]];
            for (size_t i = 0; i < 5; i += one_by_one ? 1 : 5) {
                struct run_batch b = {.metrics = m + i, .n_metrics = one_by_one ? 1 : 5};
                ASSERT_OK(run_log(f->track, id, &b, &err), &err);
            }
            struct run r = get(f, id);
            assert_int_equal(r.n_metrics, 1);
            assert_true(r.metrics[0].value == 5);
            assert_int_equal(r.metrics[0].at_us, 10);
        }
}

static void inputs_are_shared_and_counted_once(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    char a[RUN_ID_BYTES], b[RUN_ID_BYTES];
    new_run(f, a);
    new_run(f, b);
    struct tag extra = {"rows", "100"};
    struct run_input in[] = {
        {.name = "flights",
         .digest = "abc",
         .source_type = "pawl",
         .source = "flights",
         .context = "training",
         .tags = &extra,
         .n_tags = 1},
        {.name = "airports", .digest = "def", .source_type = "pawl", .source = "airports"}};
    struct run_batch batch = {.inputs = in, .n_inputs = 2};
    ASSERT_OK(run_log(f->track, a, &batch, &err), &err);
    ASSERT_OK(run_log(f->track, a, &batch, &err), &err);
    ASSERT_OK(run_log(f->track, b, &batch, &err), &err);
    struct run r = get(f, a);
    assert_int_equal(r.n_inputs, 2);
    assert_string_equal(r.inputs[0].name, "flights");
    assert_string_equal(r.inputs[0].context, "training");
    assert_int_equal(r.inputs[0].n_tags, 2);
    assert_null(r.inputs[1].context);
}

static void a_deleted_run_is_read_and_not_written(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    char id[RUN_ID_BYTES];
    new_run(f, id);
    ASSERT_OK(run_delete(f->track, id, &err), &err);
    ASSERT_OK(run_delete(f->track, id, &err), &err);
    assert_true(get(f, id).info.is_deleted);
    struct tag t = {"a", "b"};
    struct run_batch b = {.tags = &t, .n_tags = 1};
    assert_int_equal(run_log(f->track, id, &b, &err), ERR_REFUSED);
    assert_non_null(strstr(err.msg, "must be in the 'active' state. Current state is deleted."));
    ASSERT_OK(run_restore(f->track, id, &err), &err);
    ASSERT_OK(run_log(f->track, id, &b, &err), &err);
    ASSERT_OK(run_tag_delete(f->track, id, "a", &err), &err);
    assert_int_equal(run_tag_delete(f->track, id, "a", &err), ERR_NOT_FOUND);
    assert_int_equal(run_log(f->track, "0123", &b, &err), ERR_NOT_FOUND);
    assert_string_equal(err.msg, "Run with id=0123 not found");
}

static void keys_are_checked(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    char id[RUN_ID_BYTES], long_key[300];
    new_run(f, id);
    memset(long_key, 'k', sizeof(long_key));
    long_key[251] = '\0';
    const char *bad[] = {"", "a?b", "../x", "/a", "a//b", "a/", "./a", long_key};
    const char *good[] = {"a", "val/auc", "a.b-c_d:e f", "höhe"};
    for (size_t i = 0; i < 8; i++) {
        struct metric_point m = {bad[i], 1, 0, 0};
        struct run_batch b = {.metrics = &m, .n_metrics = 1};
        assert_int_equal(run_log(f->track, id, &b, &err), ERR_INVALID);
    }
    for (size_t i = 0; i < 4; i++) {
        struct metric_point m = {good[i], 1, 0, 0};
        struct run_batch b = {.metrics = &m, .n_metrics = 1};
        ASSERT_OK(run_log(f->track, id, &b, &err), &err);
    }
    struct metric_point early = {"a", 1, 0, -1};
    struct run_batch b = {.metrics = &early, .n_metrics = 1};
    assert_int_equal(run_log(f->track, id, &b, &err), ERR_INVALID);
}

static void people_find_runs_by_prefix_and_name(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    char a[RUN_ID_BYTES], b[RUN_ID_BYTES], got[RUN_ID_BYTES], prefix[9] = "";
    struct run_new n = {.name = "nightly"};
    ASSERT_OK(run_create(f->track, &n, a, &err), &err);
    memcpy(prefix, a, 8);
    ASSERT_OK(run_find(f->track, prefix, got, &err), &err);
    assert_string_equal(got, a);
    ASSERT_OK(run_find(f->track, "nightly", got, &err), &err);
    assert_string_equal(got, a);
    ASSERT_OK(run_create(f->track, &n, b, &err), &err);
    assert_int_equal(run_find(f->track, "nightly", got, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.msg, a));
    assert_non_null(strstr(err.msg, b));
    assert_int_equal(run_find(f->track, "nobody", got, &err), ERR_NOT_FOUND);
}

static void artifacts_have_a_place(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    char id[RUN_ID_BYTES], *dir = NULL, want[200];
    int64_t elsewhere = 0;
    new_run(f, id);
    ASSERT_OK(run_artifact_dir(f->track, id, RUN_DIR_MAKE, &f->home.arena, &dir, &err), &err);
    snprintf(want, sizeof(want), "%s/artifacts/0/%s/artifacts", f->home.dir, id);
    assert_string_equal(dir, want);
    snprintf(want, sizeof(want), "mlflow-artifacts:/0/%s/artifacts", id);
    assert_string_equal(get(f, id).info.artifact_uri, want);
    ASSERT_OK(experiment_create(f->track, "s3", "s3://b/x", NULL, 0, &elsewhere, &err), &err);
    struct run_new n = {.experiment_id = elsewhere};
    ASSERT_OK(run_create(f->track, &n, id, &err), &err);
    assert_int_equal(run_artifact_dir(f->track, id, RUN_DIR_MAKE, &f->home.arena, &dir, &err),
                     ERR_UNSUPPORTED);
    snprintf(want, sizeof(want), "s3://b/x/%s/artifacts", id);
    assert_string_equal(get(f, id).info.artifact_uri, want);
    assert_true(artifact_path_is_safe(STR("a/b.txt")));
    const char *bad[] = {"", "/a", "../a", "a/../b", "a\\b", "a#b", "a//b", "a/."};
    for (size_t i = 0; i < 8; i++)
        assert_false(artifact_path_is_safe(str_c(bad[i])));
}

static void a_diff_names_what_changed(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    char a[RUN_ID_BYTES], b[RUN_ID_BYTES];
    new_run(f, a);
    new_run(f, b);
    struct param pa[] = {{"depth", "6"}, {"only_a", "1"}, {"same", "x"}},
                 pb[] = {{"depth", "8"}, {"same", "x"}};
    struct metric_point ma = {"auc", 0.5, 0, 0}, mb = {"auc", 0.75, 0, 0};
    struct run_batch ba = {.params = pa, .n_params = 3, .metrics = &ma, .n_metrics = 1},
                     bb = {.params = pb, .n_params = 2, .metrics = &mb, .n_metrics = 1};
    ASSERT_OK(run_log(f->track, a, &ba, &err), &err);
    ASSERT_OK(run_log(f->track, b, &bb, &err), &err);
    struct run ra = get(f, a), rb = get(f, b);
    struct json *d = run_diff_json(&ra, &rb, &f->home.arena);
    assert_int_equal(json_len(json_get(d, "params")), 2);
    assert_string_equal(json_get_c(json_path(d, "params.0"), "key"), "depth");
    assert_string_equal(json_get_c(json_path(d, "params.0"), "b"), "8");
    assert_null(json_path(d, "params.1.b"));
    assert_true(json_get_f64(json_path(d, "metrics.0"), "change", 0) == 0.25);
    assert_int_equal(json_len(json_get(d, "tags")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(experiments_have_one_name_each),
        ON_BOTH(a_deleted_experiment_takes_its_runs_along),
        ON_BOTH(a_run_says_what_it_was_given),
        ON_BOTH(params_never_change),
        ON_BOTH(a_batch_is_whole_or_nothing),
        ON_BOTH(every_number_comes_back),
        ON_BOTH(the_latest_is_a_fact_of_the_points),
        ON_BOTH(inputs_are_shared_and_counted_once),
        ON_BOTH(a_deleted_run_is_read_and_not_written),
        ON_BOTH(keys_are_checked),
        ON_BOTH(people_find_runs_by_prefix_and_name),
        ON_BOTH(artifacts_have_a_place),
        ON_BOTH(a_diff_names_what_changed),
    };
    return RUN_ON_BOTH(tests);
}
