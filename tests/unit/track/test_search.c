/* The filter language over runs and experiments, against a small set whose answers are plain. */
#include "test.h"

#include <math.h>
#include <stdio.h>

#include "fixture/home.h"
#include "track/filter.h"

struct fixture {
    struct home home;
    struct track *track;
    char ids[5][RUN_ID_BYTES];
    int64_t other;
};
#define BOTH_FIXTURE struct fixture

/* Runs r0..r4, a second apart: auc 0.5, 0.6, 0.7, NaN, none; depth 2, 4, 6, 8, none. */
static void fixture_open(struct fixture *f)
{
    struct err err = ERR_INIT;
    char dir[96];
    snprintf(dir, sizeof(dir), "%s/artifacts", f->home.dir);
    ASSERT_OK(track_open(f->home.db, dir, &f->home.clock, &f->track, &err), &err);
    ASSERT_OK(experiment_create(f->track, "other", NULL, NULL, 0, &f->other, &err), &err);
    for (int i = 0; i < 5; i++) {
        char name[8], depth[8];
        snprintf(name, sizeof(name), "r%d", i);
        snprintf(depth, sizeof(depth), "%d", 2 + 2 * i);
        f->home.at_us += US_PER_S;
        struct tag team = {"team", i % 2 ? "Data" : "ml 50%_\\x"};
        struct run_new n = {.name = name,
                            .experiment_id = i == 4 ? f->other : 0,
                            .user = "eve",
                            .tags = &team,
                            .n_tags = 1};
        ASSERT_OK(run_create(f->track, &n, f->ids[i], &err), &err);
        struct metric_point m[] = {{"auc", i == 3 ? NAN : 0.5 + 0.1 * i, 0, 1},
                                   {"odd key", i, 0, 1}};
        struct param p = {"depth", depth};
        struct run_input in = {
            .name = "flights", .digest = depth, .source_type = "pawl", .source = "x"};
        in.context = i ? "training" : "benchmark";
        struct run_batch b = {.metrics = m, .n_metrics = 2, .params = &p, .n_params = 1};
        b.inputs = &in;
        b.n_inputs = 1;
        if (i < 4)
            ASSERT_OK(run_log(f->track, f->ids[i], &b, &err), &err);
    }
    ASSERT_OK(run_end(f->track, f->ids[0], RUN_FINISHED, AT_US_NONE, &err), &err);
}

static void fixture_close(struct fixture *f)
{
    track_close(f->track);
}

#include "fixture/both.h"

/* The answer as the run numbers in order, "210". */
static const char *found(struct fixture *f, const char *filter, const char *order, struct err *err)
{
    static char text[16];
    struct search_query q = {
        .filter = filter, .limit = 100, .order_by = &order, .n_order_by = order != NULL};
    struct run *runs = NULL;
    size_t n = 0;
    char *token = NULL;
    if (run_search(f->track, &q, &f->home.arena, &runs, &n, &token, err) != ERR_OK)
        return err_name(err->code);
    memset(text, 0, sizeof(text));
    for (size_t i = 0; i < n; i++)
        text[i] = runs[i].info.name[1];
    return text;
}

static const struct {
    const char *filter, *want;
} CASES[] = {
    {"", "43210"},
    {"metrics.auc > 0.55", "21"},
    {"metric.auc >= 0.6 and METRICS.auc < 0.65", "1"},
    {"metrics.auc != 0.5", "21"},
    {"metrics.auc = 0", ""},
    {"metrics.auc > -1", "210"},
    {"metrics.`odd key` >= 2", "32"},
    {"metrics.\"odd key\" = 1", "1"},
    {"params.depth = '6'", "2"},
    {"params.depth != '6'", "310"},
    {"params.depth IN ('2', '4', '99')", "10"},
    {"params.depth NOT IN ('2')", "321"},
    {"parameters.depth IS NULL", "4"},
    {"params.depth IS NOT NULL AND metrics.auc > 0.65", "2"},
    {"tags.team LIKE 'Da%'", "31"},
    {"tags.team LIKE 'da%'", ""},
    {"tags.team ILIKE 'da%'", "31"},
    {"tags.team LIKE '%_\\x'", "420"},
    {"tags.absent != 'x'", ""},
    {"attributes.status = 'FINISHED'", "0"},
    {"status = 'RUNNING'", "4321"},
    {"run_name = 'r3'", "3"},
    {"attr.run_name LIKE 'r%' AND user_id = 'eve'", "43210"},
    {"start_time > 983404802000", "432"},
    {"created <= 983404801000", "0"},
    {"end_time > 0", "0"},
    {"dataset.name = 'flights' AND dataset.context = 'benchmark'", "0"},
    {"datasets.digest IN ('4','6')", "21"},
    {"artifact_uri LIKE 'mlflow-artifacts:/1/%'", "4"},
    {"params.depth = '1' OR 1=1", "parse"},
    {"metrics.auc > 'x'", "invalid"},
    {"params.depth > 5", "invalid"},
    {"metrics.auc LIKE 'x'", "invalid"},
    {"run_nam = 'x'", "invalid"},
    {"thing.x = 'y'", "parse"},
    {"params.depth = 'x", "parse"},
    {"params.depth =", "parse"},
    {"AND", "parse"},
    {"params.depth = 'x' AND", "parse"},
    {"params.depth IN ()", "parse"},
    {"metrics.auc = NaN", "invalid"},
    {"params.depth = ''; DROP TABLE runs; --'", "parse"},
};

static void filters_find_what_they_say(void **state)
{
    struct fixture *f = both_fixture(state);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct err err = ERR_INIT;
        const char *got = found(f, CASES[i].filter, NULL, &err);
        if (strcmp(got, CASES[i].want) != 0)
            fail_msg("%s: got \"%s\", want \"%s\" (%s)", CASES[i].filter, got, CASES[i].want,
                     err.msg);
    }
}

static void errors_say_where(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    found(f, "metrics.auc > 0.5 AND params.depth ~ '6'", NULL, &err);
    assert_non_null(strstr(err.msg, "character 36"));
    found(f, "run_nam = 'x'", NULL, &err);
    assert_non_null(strstr(err.msg, "did you mean \"run_name\""));
}

static void order_puts_missing_values_last(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    assert_string_equal(found(f, "", "metrics.auc DESC", &err), "21034");
    assert_string_equal(found(f, "", "metrics.auc ASC", &err), "01234");
    assert_string_equal(found(f, "", "metrics.auc", &err), "01234");
    assert_string_equal(found(f, "", "params.depth desc", &err), "32104");
    assert_string_equal(found(f, "", "start_time ASC", &err), "01234");
    assert_string_equal(found(f, "", "attributes.end_time DESC", &err), "04321");
    assert_string_equal(found(f, "", "metrics.`odd key` DESC", &err), "32104");
    assert_string_equal(found(f, "", "nonsense DESC", &err), "invalid");
    assert_string_equal(found(f, "", "metrics.auc; DROP", &err), "invalid");
}

static void pages_join_to_the_whole(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    char text[16] = "", *token = NULL;
    do {
        struct search_query q = {.limit = 2, .page_token = token};
        struct run *runs = NULL;
        size_t n = 0;
        ASSERT_OK(run_search(f->track, &q, &f->home.arena, &runs, &n, &token, &err), &err);
        for (size_t i = 0; i < n; i++)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%c", runs[i].info.name[1]);
    } while (token);
    assert_string_equal(text, "43210");
    struct search_query bad = {.limit = 2, .page_token = "x"};
    struct run *runs = NULL;
    size_t n = 0;
    assert_int_equal(run_search(f->track, &bad, &f->home.arena, &runs, &n, &token, &err),
                     ERR_INVALID);
}

static void experiments_and_views(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    struct experiment *list = NULL;
    size_t n = 0;
    char *token = NULL;
    struct search_query q = {.filter = "name LIKE 'oth%'", .limit = 10};
    ASSERT_OK(experiment_search(f->track, &q, &f->home.arena, &list, &n, &token, &err), &err);
    assert_int_equal(n, 1);
    struct search_query in_other = {
        .experiment_ids = &f->other, .n_experiment_ids = 1, .limit = 10};
    struct run *runs = NULL;
    ASSERT_OK(run_search(f->track, &in_other, &f->home.arena, &runs, &n, &token, &err), &err);
    assert_int_equal(n, 1);
    ASSERT_OK(run_delete(f->track, f->ids[2], &err), &err);
    assert_string_equal(found(f, "", NULL, &err), "4310");
    struct search_query deleted = {.view = LIFE_DELETED, .limit = 10};
    ASSERT_OK(run_search(f->track, &deleted, &f->home.arena, &runs, &n, &token, &err), &err);
    assert_int_equal(n, 1);
    assert_string_equal(runs[0].info.id, f->ids[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(filters_find_what_they_say),     ON_BOTH(errors_say_where),
        ON_BOTH(order_puts_missing_values_last), ON_BOTH(pages_join_to_the_whole),
        ON_BOTH(experiments_and_views),
    };
    return RUN_ON_BOTH(tests);
}
