/* The feature plan: what plan_build makes of a project, what a request may say, statuses and defaults, and that a
 * request and a training row with the same values give the same bits. */
#include <math.h>
#include <stdio.h>

#include "base/hash.h"
#include "features/plan_build.h"
#include "online_fix.h"

#define T0 INT64_C(983693700000000) /* 2001-03-04 08:15 */

static const struct expr_column ROWS[] = {
    {"date", VAL_TIME},   {"origin", VAL_STR},  {"destination", VAL_STR}, {"distance", VAL_INT},
    {"price", VAL_FLOAT}, {"is_red", VAL_BOOL}, {"unused", VAL_INT},
};
#define N_ROW_COLS (sizeof ROWS / sizeof ROWS[0])
static const struct expr_column ENTITY[] = {{"airport", VAL_STR}};
static const struct expr_column VIEW_COLS[] = {
    {"delay", VAL_FLOAT}, {"flights", VAL_INT}, {"size", VAL_STR}};
static const char *const NAMES[] = {"hour", "per_flight", "log_distance", "night", "code"};
static const char *const EXPRS[] = {"hour(date)", "delay / flights", "ln(distance + 1)",
                                    "hour < 6 or hour >= 22",
                                    "upper(substr(origin, 1, 1)) || '-' || airport_hour.size"};
static const struct plan_row_view ROW_VIEW = {"request", NAMES, EXPRS, 5};

static const struct plan_ref REFS[] = {
    {.text = "airport_hour", .keys = {{"airport", "origin"}}, .n_keys = 1},
    {.text = "request.*"},
    {.text = "distance"},
    {.text = "origin"},
    {.text = "is_red"},
    {.text = "price"},
};

struct project {
    struct arena a;
    struct plan_view view;
    struct plan_spec spec;
    struct json *doc;
    struct plan *plan;
};

static void project_spec(struct project *p, enum plan_on_stale on_stale, const char *defaults)
{
    struct err err = ERR_INIT;
    struct json *d = NULL;
    arena_init(&p->a, 1 << 26);
    if (defaults)
        ASSERT_OK(json_read(str_c(defaults), &p->a, &d, &err), &err);
    p->view = (struct plan_view){"airport_hour",  "1",      ENTITY, 1, VIEW_COLS, 3,
                                 6 * US_PER_HOUR, on_stale, d};
    p->spec = (struct plan_spec){
        "date", ROWS, N_ROW_COLS, &p->view, 1, &ROW_VIEW, 1, REFS, sizeof REFS / sizeof REFS[0]};
}

/* Training rows whose categories are A..E and small, big. */
#define N_TRAIN 400
struct table {
    struct column cols[10];
    int64_t date[N_TRAIN], distance[N_TRAIN], unused[N_TRAIN], flights[N_TRAIN];
    struct str origin[N_TRAIN], destination[N_TRAIN], size[N_TRAIN];
    double price[N_TRAIN], delay[N_TRAIN];
    uint8_t is_red[N_TRAIN], valid[10][N_TRAIN];
};

static struct table *table_new(uint64_t seed)
{
    static const char *const AIRPORTS[] = {"A", "B", "C", "D", "E"};
    static const double ODD[] = {NAN, INFINITY, -INFINITY, -0.0, 1e300, 5e-324};
    struct table *t = calloc(1, sizeof *t);
    struct rng r;
    rng_init(&r, seed);
    for (size_t i = 0; i < N_TRAIN; i++) {
        t->date[i] = T0 + (int64_t)rng_below(&r, 1000) * US_PER_MIN;
        t->distance[i] = (int64_t)rng_below(&r, 3000) - 1;
        t->origin[i] = str_c(AIRPORTS[rng_below(&r, 5)]);
        t->destination[i] = str_c(AIRPORTS[rng_below(&r, 5)]);
        t->size[i] = rng_below(&r, 2) ? STR("small") : STR("big");
        t->price[i] = rng_below(&r, 10) ? rng_normal(&r) : ODD[rng_below(&r, 6)];
        t->delay[i] = rng_normal(&r) * 10;
        t->flights[i] = (int64_t)rng_below(&r, 4);
        t->is_red[i] = (uint8_t)rng_below(&r, 2);
        for (size_t k = 0; k < 10; k++)
            t->valid[k][i] = k == 0 || rng_below(&r, 12) != 0;
    }
    struct column cols[10] = {
        {"date", VAL_TIME, N_TRAIN, t->valid[0], {.i = t->date}},
        {"origin", VAL_STR, N_TRAIN, t->valid[1], {.s = t->origin}},
        {"destination", VAL_STR, N_TRAIN, t->valid[2], {.s = t->destination}},
        {"distance", VAL_INT, N_TRAIN, t->valid[3], {.i = t->distance}},
        {"price", VAL_FLOAT, N_TRAIN, t->valid[4], {.f = t->price}},
        {"is_red", VAL_BOOL, N_TRAIN, t->valid[5], {.b = t->is_red}},
        {"unused", VAL_INT, N_TRAIN, t->valid[6], {.i = t->unused}},
        {"airport_hour.delay", VAL_FLOAT, N_TRAIN, t->valid[7], {.f = t->delay}},
        {"airport_hour.flights", VAL_INT, N_TRAIN, t->valid[8], {.i = t->flights}},
        {"airport_hour.size", VAL_STR, N_TRAIN, t->valid[9], {.s = t->size}},
    };
    memcpy(t->cols, cols, sizeof cols);
    return t;
}

static void project_init(struct project *p, enum plan_on_stale on_stale, const char *defaults,
                         const struct table *t)
{
    struct err err = ERR_INIT;
    struct json *first;
    struct plan *untrained;
    project_spec(p, on_stale, defaults);
    ASSERT_OK(plan_build(&p->spec, &p->a, &first, &err), &err);
    ASSERT_OK(plan_read(first, &p->a, &untrained, &err), &err);
    struct plan_dict *d = plan_dict_new(untrained);
    ASSERT_OK(plan_dict_add(d, t->cols, 10, N_TRAIN, &err), &err);
    ASSERT_OK(plan_dict_finish(d, first, &p->a, &p->doc, &err), &err);
    plan_dict_free(d);
    ASSERT_OK(plan_read(p->doc, &p->a, &p->plan, &err), &err);
}

static void test_build(void **state)
{
    (void)state;
    struct project p;
    struct table *t = table_new(1);
    project_init(&p, PLAN_STALE_DEFAULT, NULL, t);
    static const char *const INPUTS[] = {"airport_hour.delay",
                                         "airport_hour.flights",
                                         "airport_hour.size",
                                         "hour",
                                         "per_flight",
                                         "log_distance",
                                         "night",
                                         "code",
                                         "distance",
                                         "origin",
                                         "is_red",
                                         "price"};
    assert_int_equal(plan_n_inputs(p.plan), 12);
    for (size_t i = 0; i < 12; i++)
        assert_string_equal(plan_input(p.plan, i)->name, INPUTS[i]);
    assert_int_equal(plan_n_request(p.plan), 7); /* unused columns may come, but need not */
    assert_int_equal(plan_n_settable(p.plan), 10);
    assert_true(plan_time_slot(p.plan) == 0);
    assert_false(plan_slot(p.plan, 0)->is_required);
    assert_true(plan_slot(p.plan, 1)->is_required);
    assert_int_equal(plan_find(p.plan, STR("airport_hour.delay")), 7);
    assert_int_equal(plan_find(p.plan, STR("delay")), 7);
    assert_int_equal(plan_find(p.plan, STR("no")), -1);
    const struct plan_input *origin = plan_input(p.plan, 9), *code = plan_input(p.plan, 7);
    assert_int_equal(origin->n_categories, 5);
    assert_true(str_is(origin->categories[4], "E"));
    assert_int_equal(code->n_categories, 10);
    assert_true(str_is(code->categories[0], "A-big"));
    size_t n;
    struct sig_field *sig = plan_signature(p.plan, &p.a, &n);
    assert_int_equal(n, 10);
    assert_int_equal(sig[0].type, SIG_DATETIME);
    arena_fini(&p.a);
    free(t);
}

static void check_build_error(struct plan_spec *spec, struct arena *a, const char *want)
{
    struct err err = ERR_INIT;
    struct json *doc;
    assert_int_not_equal(plan_build(spec, a, &doc, &err), ERR_OK);
    if (!strstr(err.msg, want))
        fail_msg("said '%s', not '%s'", err.msg, want);
}

static void test_build_errors(void **state)
{
    (void)state;
    struct project p;
    project_spec(&p, PLAN_STALE_DEFAULT, NULL);
    struct plan_ref ref = {.text = "distnace"};
    struct plan_spec s = p.spec;
    s.refs = &ref;
    s.n_refs = 1;
    check_build_error(
        &s, &p.a,
        "dataset.features[0] 'distnace': 'distnace' is no column of the rows, row feature or "
        "looked-up column; did you mean 'distance'?");
    ref.text = "date";
    check_build_error(&s, &p.a, "is a timestamp: derive numbers from it");
    ref.text = "requets.*";
    check_build_error(&s, &p.a, "there is no row view 'requets'");
    ref.text = "per_flight"; /* needs a view that no item looks up */
    check_build_error(&s, &p.a, "features.request.per_flight: 'delay' is no column");
    ref.text = "airport_hour";
    check_build_error(&s, &p.a, "has 1 entity keys, the item names 0");
    ref.n_keys = 1;
    ref.keys[0].entity = "airport";
    ref.keys[0].from = "orgin";
    check_build_error(&s, &p.a, "did you mean 'origin'?");
    ref.keys[0].from = "distance";
    check_build_error(&s, &p.a, "is string, column 'distance' is int");
    static const char *const LOOP[] = {"b + 1", "a + 1"}, *const AB[] = {"a", "b"};
    struct plan_row_view loop = {"request", AB, LOOP, 2};
    ref = (struct plan_ref){.text = "a"};
    s.row_views = &loop;
    check_build_error(&s, &p.a, "needs itself");
    static const char *const WRONG[] = {"hour(distance)", "1"};
    loop.exprs = WRONG;
    check_build_error(&s, &p.a, "features.request.a: column 1: 'hour' does not take (int)");
    s.n_refs = 0;
    check_build_error(&s, &p.a, "no input");
    arena_fini(&p.a);
}

/* Every settable value of row i of the table, as a request would give it. */
static void set_row(struct plan_scratch *s, const struct plan *p, const struct table *t, size_t i,
                    bool has_lookups)
{
    struct err err = ERR_INIT;
    plan_begin(s);
    for (size_t k = 0; k < 10; k++) {
        ptrdiff_t slot = plan_find(p, str_c(t->cols[k].name));
        struct value v = column_value(&t->cols[k], i);
        if (slot >= 0 && (k < 7 || has_lookups))
            ASSERT_OK(plan_set(s, (size_t)slot, &v, &err), &err);
    }
}

/* A column of the store as the table's row has it, known an hour before. */
static void store_row(struct online *o, const struct table *t, size_t i)
{
    struct err err = ERR_INIT;
    struct value origin = column_value(&t->cols[1], i);
    int64_t at = t->date[i];
    if (origin.type == VAL_NULL)
        return;
    struct column key = {"airport", VAL_STR, 1, NULL, {.s = &origin.u.s}},
                  time = {"hour", VAL_TIME, 1, NULL, {.i = &at}};
    struct column values[3];
    for (size_t k = 0; k < 3; k++) {
        values[k] = t->cols[7 + k];
        values[k].n = 1;
        values[k].valid += i;
    }
    values[0].u.f += i;
    values[1].u.i += i;
    values[2].u.s += i;
    struct online_batch b = {"airport_hour", "1", 1, &key, values, &time, NULL};
    ASSERT_OK(online_put(o, &b, NULL, &err), &err);
}

static void declare_view(struct online *o)
{
    struct err err = ERR_INIT;
    static const struct online_column COLS[] = {
        {"delay", VAL_FLOAT}, {"flights", VAL_INT}, {"size", VAL_STR}};
    struct online_schema s = {
        .view = "airport_hour", .version = "1", .columns = COLS, .n_columns = 3, .n_keys = 1};
    ASSERT_OK(online_declare(o, &s, &err), &err);
}

static void same_row(const float *want, const float *got, size_t n, size_t row)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&want[i], &got[i], sizeof *want) != 0)
            fail_msg("row %zu input %zu: %.9g in training, %.9g in serving", row, i,
                     (double)want[i], (double)got[i]);
    }
}

/* Given whole, and looked up in the store: the same bits as the training chunk. */
static void test_parity(void **state)
{
    (void)state;
    struct project p;
    struct online_fix f;
    struct err err = ERR_INIT;
    struct table *t = table_new(2);
    project_init(&p, PLAN_STALE_DEFAULT, "{\"flights\": 2, \"size\": \"none\"}", t);
    float *matrix, row[12];
    struct column *rows;
    ASSERT_OK(plan_run_chunk(p.plan, t->cols, 10, N_TRAIN, &p.a, &matrix, &rows, &err), &err);
    assert_string_equal(rows[0].name, "hour");
    fix_init(&f);
    declare_view(f.o);
    struct plan_scratch *s = plan_scratch_new(p.plan);
    struct plan_result res;
    for (size_t i = 0; i < N_TRAIN; i++) {
        set_row(s, p.plan, t, i, true);
        ASSERT_OK(plan_run(s, NULL, 0, row, &res, &err), &err);
        assert_int_equal(res.statuses[0], PLAN_GIVEN);
        assert_false(res.is_default);
        same_row(matrix + i * 12, row, 12, i);
        struct value night = column_value(&rows[3], i);
        ptrdiff_t slot = plan_find(p.plan, STR("night"));
        assert_true(value_same(&night, &res.values[slot]));
    }
    for (size_t i = 0; i < 60; i++) {
        store_row(f.o, t, i);
        set_row(s, p.plan, t, i, false);
        ASSERT_OK(plan_run(s, f.r, 0, row, &res, &err), &err);
        assert_int_equal(res.at_us, t->date[i]);
        if (!t->valid[1][i]) {
            assert_int_equal(res.statuses[0], PLAN_NOT_FOUND);
            continue;
        }
        assert_int_equal(res.statuses[0], PLAN_PRESENT);
        assert_true(res.age_us[0] == 0);
        same_row(matrix + i * 12, row, 12, i);
    }
    plan_scratch_free(s);
    fix_fini(&f);
    arena_fini(&p.a);
    free(t);
}

static float input_named(const struct plan *p, const float *row, const char *name)
{
    for (size_t i = 0; i < plan_n_inputs(p); i++) {
        if (strcmp(plan_input(p, i)->name, name) == 0)
            return row[i];
    }
    fail_msg("no input %s", name);
    return NAN;
}

/* A value at T0; requests before, within, at the edge of and beyond its ttl of 6 h. */
static void test_stale(void **state)
{
    (void)state;
    struct table *t = table_new(3);
    t->date[0] = T0;
    t->origin[0] = STR("A");
    t->delay[0] = 4;
    t->flights[0] = 2;
    for (size_t k = 0; k < 10; k++)
        t->valid[k][0] = 1;
    for (enum plan_on_stale mode = 0; mode < PLAN_ON_STALE_N; mode++) {
        struct project p;
        struct online_fix f;
        struct err err = ERR_INIT;
        struct plan_result res;
        float row[12];
        project_init(&p, mode, "{\"delay\": -1}", t);
        struct plan_scratch *s = plan_scratch_new(p.plan);
        fix_init(&f);
        set_row(s, p.plan, t, 0, false);
        ASSERT_OK(plan_run(s, f.r, 0, row, &res, &err), &err);
        assert_int_equal(res.statuses[0], PLAN_NOT_FOUND); /* the view is not declared yet */
        assert_true(res.is_default);
        assert_true(input_named(p.plan, row, "airport_hour.delay") == -1.0f);
        assert_true(isnan(input_named(p.plan, row, "airport_hour.flights")));
        declare_view(f.o);
        store_row(f.o, t, 0);
        struct value at = {.type = VAL_TIME, .u.i = T0 + 6 * US_PER_HOUR};
        ASSERT_OK(plan_set(s, 0, &at, &err), &err);
        ASSERT_OK(plan_run(s, f.r, 0, row, &res, &err), &err);
        assert_int_equal(res.statuses[0], PLAN_PRESENT);
        assert_true(res.age_us[0] == 6 * US_PER_HOUR);
        at.u.i++;
        set_row(s, p.plan, t, 0, false);
        ASSERT_OK(plan_set(s, 0, &at, &err), &err);
        enum err_code rc = plan_run(s, f.r, 0, row, &res, &err);
        if (mode == PLAN_STALE_ERROR) {
            assert_int_equal(rc, ERR_UNAVAILABLE);
            assert_non_null(strstr(err.msg, "airport_hour"));
        } else {
            float want = mode == PLAN_STALE_SERVE_LAST ? 4.0f : -1.0f;
            assert_int_equal(rc, ERR_OK);
            assert_int_equal(res.statuses[0], PLAN_OUTSIDE_MAX_AGE);
            assert_true(input_named(p.plan, row, "airport_hour.delay") == want);
            assert_int_equal(res.is_default, mode == PLAN_STALE_DEFAULT);
        }
        plan_scratch_free(s);
        fix_fini(&f);
        arena_fini(&p.a);
    }
    free(t);
}

static void test_requests(void **state)
{
    (void)state;
    struct project p;
    struct err err = ERR_INIT;
    struct plan_result res;
    float row[12];
    struct table *t = table_new(4);
    project_init(&p, PLAN_STALE_DEFAULT, NULL, t);
    struct plan_scratch *s = plan_scratch_new(p.plan);
    size_t date = 0, origin = (size_t)plan_find(p.plan, STR("origin")),
           distance = (size_t)plan_find(p.plan, STR("distance"));
    size_t price = (size_t)plan_find(p.plan, STR("price")),
           is_red = (size_t)plan_find(p.plan, STR("is_red"));
    struct value text = {.type = VAL_STR, .u.s = STR("A")}, five = {.type = VAL_INT, .u.i = 5},
                 none = {.type = VAL_NULL};
    plan_begin(s);
    ASSERT_OK(plan_set(s, origin, &text, &err), &err);
    assert_int_equal(plan_run(s, NULL, T0, row, &res, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "field 'distance' (int) is required and missing"));
    assert_int_equal(plan_set(s, distance, &text, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "field 'distance' is int; this string value is none"));
    struct value half = {.type = VAL_FLOAT, .u.f = 2.5}, whole = {.type = VAL_FLOAT, .u.f = 1e3};
    assert_int_equal(plan_set(s, distance, &half, &err), ERR_INVALID);
    ASSERT_OK(plan_set(s, distance, &whole, &err), &err);
    struct value inf = {.type = VAL_STR, .u.s = STR("-Infinity")},
                 one = {.type = VAL_INT, .u.i = 1};
    ASSERT_OK(plan_set(s, price, &inf, &err), &err);
    assert_int_equal(plan_set(s, is_red, &five, &err), ERR_INVALID);
    ASSERT_OK(plan_set(s, is_red, &one, &err), &err);
    ASSERT_OK(plan_run(s, NULL, T0, row, &res, &err), &err); /* no time of its own: the default */
    assert_true(res.at_us == T0);
    assert_int_equal(res.statuses[0], PLAN_NO_STORE);
    assert_true(input_named(p.plan, row, "hour") == 8.0f);
    assert_true(input_named(p.plan, row, "distance") == 1000.0f);
    assert_true(input_named(p.plan, row, "price") == -INFINITY);
    assert_true(input_named(p.plan, row, "is_red") == 1.0f);
    assert_true(input_named(p.plan, row, "origin") == 0.0f);
    struct value when = {.type = VAL_STR, .u.s = STR("2001-03-04T22:15:00Z")},
                 unseen = {.type = VAL_STR, .u.s = STR("Z")};
    ASSERT_OK(plan_set(s, date, &when, &err), &err);
    ASSERT_OK(plan_set(s, origin, &unseen, &err), &err);
    ASSERT_OK(plan_set(s, price, &none, &err), &err);
    ASSERT_OK(plan_run(s, NULL, T0, row, &res, &err), &err);
    assert_true(input_named(p.plan, row, "hour") == 22.0f);
    assert_true(input_named(p.plan, row, "night") == 1.0f);
    assert_true(isnan(input_named(p.plan, row, "origin")));
    assert_true(isnan(input_named(p.plan, row, "price")));
    assert_true(isnan(input_named(p.plan, row, "per_flight")));
    plan_scratch_free(s);
    arena_fini(&p.a);
    free(t);
}

/* Damaged or foreign documents are refused with the place. */
static void test_read_errors(void **state)
{
    (void)state;
    static const char *const BAD[][2] = {
        {"[]", "plan: expected an object"},
        {"{\"format\":2}", "format 2; this program reads 1"},
        {"{\"format\":1,\"expr\":99}", "train again"},
        {"{\"format\":1,\"request\":[{\"name\":\"a\"}]}", "plan: request[0]"},
        {"{\"format\":1,\"request\":[{\"name\":\"a\",\"type\":\"text\"}]}",
         "type 'text' is none of"},
        {"{\"format\":1,\"request\":[{\"name\":\"a\",\"type\":\"int\"},{\"name\":\"a\",\"type\":"
         "\"int\"}]}",
         "stands for two fields"},
        {"{\"format\":1,\"time\":\"a\",\"request\":[{\"name\":\"a\",\"type\":\"int\"}]}",
         "no timestamp field"},
        {"{\"format\":1,\"row\":[{\"name\":\"r\",\"type\":\"int\",\"expr\":\"x + 1\"}]}",
         "row[0]: r: column 1: unknown"},
        {"{\"format\":1,\"row\":[{\"name\":\"r\",\"type\":\"int\",\"expr\":\"1.5\"}]}",
         "gives float, the plan says int"},
        {"{\"format\":1,\"inputs\":[{\"name\":\"x\",\"kind\":\"number\"}]}",
         "inputs[0]: x: 'x' is no field"},
        {"{\"format\":1,\"request\":[{\"name\":\"a\",\"type\":\"string\"}],\"inputs\":[{\"name\":"
         "\"a\",\"kind\":\"number\"}]}",
         "a string cannot be a number input"},
        {"{\"format\":1,\"request\":[{\"name\":\"a\",\"type\":\"string\"}],\"inputs\":[{\"name\":"
         "\"a\",\"kind\":\"category\","
         "\"categories\":[\"b\",\"a\"]}]}",
         "not sorted"},
        {"{\"format\":1,\"lookups\":[{\"view\":\"v\",\"version\":\"1\",\"key\":[{\"entity\":\"e\","
         "\"from\":\"q\"}]}]}",
         "'q' is no field of the request"},
        {"{\"format\":1,\"lookups\":[{\"view\":\"v\",\"version\":\"1\",\"key\":[]}]}",
         "key: 0 parts"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct arena a;
        struct err err = ERR_INIT;
        struct json *doc;
        struct plan *p;
        arena_init(&a, 1 << 22);
        ASSERT_OK(json_read(str_c(BAD[i][0]), &a, &doc, &err), &err);
        assert_int_not_equal(plan_read(doc, &a, &p, &err), ERR_OK);
        if (!strstr(err.msg, BAD[i][1]))
            fail_msg("%s: said '%s'", BAD[i][0], err.msg);
        arena_fini(&a);
    }
}

static void test_chunk_errors(void **state)
{
    (void)state;
    struct project p;
    struct err err = ERR_INIT;
    float *matrix;
    struct table *t = table_new(5);
    project_init(&p, PLAN_STALE_DEFAULT, NULL, t);
    assert_int_equal(plan_run_chunk(p.plan, t->cols, 9, N_TRAIN, &p.a, &matrix, NULL, &err),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "no column 'airport_hour.size'"));
    t->cols[3].type = VAL_TIME;
    assert_int_equal(plan_run_chunk(p.plan, t->cols, 10, N_TRAIN, &p.a, &matrix, NULL, &err),
                     ERR_INVALID);
    assert_non_null(strstr(err.msg, "'distance' is timestamp in the table and int in the plan"));
    arena_fini(&p.a);
    free(t);
}

static void test_plain(void **state)
{
    (void)state;
    struct arena a;
    struct err err = ERR_INIT;
    struct json *doc;
    struct plan *p;
    struct plan_result res;
    float row[3];
    arena_init(&a, 1 << 22);
    struct sig_field fields[] = {{.name = "x", .type = SIG_DOUBLE, .is_required = true},
                                 {.name = "n", .type = SIG_LONG},
                                 {.name = "b", .type = SIG_BOOLEAN}};
    struct signature sig = {fields, 3, NULL, 0};
    ASSERT_OK(plan_build_plain(&sig, NULL, &a, &doc, &err), &err);
    ASSERT_OK(plan_read(doc, &a, &p, &err), &err);
    struct plan_scratch *s = plan_scratch_new(p);
    struct value half = {.type = VAL_FLOAT, .u.f = 0.5};
    ASSERT_OK(plan_set(s, 0, &half, &err), &err);
    ASSERT_OK(plan_run(s, NULL, 77, row, &res, &err), &err);
    assert_true(res.at_us == 77 && row[0] == 0.5f && isnan(row[1]) && isnan(row[2]));
    plan_scratch_free(s);
    fields[1].type = SIG_DATETIME;
    assert_int_equal(plan_build_plain(&sig, NULL, &a, &doc, &err), ERR_UNSUPPORTED);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_build),        cmocka_unit_test(test_build_errors),
        cmocka_unit_test(test_parity),       cmocka_unit_test(test_stale),
        cmocka_unit_test(test_requests),     cmocka_unit_test(test_read_errors),
        cmocka_unit_test(test_chunk_errors), cmocka_unit_test(test_plain),
    };
    return RUN_TESTS(tests);
}
