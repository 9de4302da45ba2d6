/* Labels, schemas and the decision journal. */
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/journal.h"
#include "feedback/label.h"
#include "feedback_fix.h"

static struct label_record label_of(const char *text, struct arena *a)
{
    struct json *v;
    struct label_record l;
    struct err err = ERR_INIT;
    ASSERT_OK(json_read(str_c(text), a, &v, &err), &err);
    ASSERT_OK(label_from_json(v, STR("delay"), 5, a, &l, &err), &err);
    return l;
}

static char last_client[64];

static size_t labels_read(struct label_log *l, struct label_record *last)
{
    struct log_pos start = {0}, next;
    struct label_reader *r = NULL;
    struct err err = ERR_INIT;
    bool is_there = true;
    size_t n = 0;
    ASSERT_OK(label_reader_open(label_log_series(l), &start, &r, &err), &err);
    for (;;) {
        struct label_record rec;
        ASSERT_OK(label_reader_next(r, 0, &is_there, &rec, &next, &err), &err);
        if (!is_there)
            break;
        *last = rec;
        /* texts are the reader's: kept beyond it */
        (void)snprintf(last_client, sizeof(last_client), "%.*s", STR_ARG(rec.client_id));
        last->client_id = str_c(last_client);
        n++;
    }
    label_reader_close(r);
    return n;
}

static void test_labels_once(void **state)
{
    struct scratch *t = *state;
    struct label_log_options opt = {.dir = t->dir, .may_write = true, .dedup_labels = 1000};
    struct label_log *l = NULL;
    struct err err = ERR_INIT;
    struct arena a;
    struct label_record last = {0};
    size_t n_new = 0;
    arena_init(&a, 16 << 20);
    struct label_record labels[3] = {
        label_of("{\"prediction_id\":\"018bcfe5-6800-7000-8000-000000000001/2\",\"label\":true}",
                 &a),
        label_of("{\"client_id\":\"order-1\",\"label\":0.5,\"known_at\":\"2001-03-01T10:00:00Z\"}",
                 &a),
        label_of("{\"keys\":{\"b\":2,\"a\":\"x\"},\"time\":\"2001-03-01\",\"label\":\"late\","
                 "\"name\":\"kpi\"}",
                 &a),
    };
    ASSERT_OK(label_log_open(&opt, &l, &err), &err);
    ASSERT_OK(label_log_put(l, labels, 3, &n_new, &err), &err);
    assert_int_equal(n_new, 3);
    labels[0].wall_us++; /* the same label, later: nothing new */
    ASSERT_OK(label_log_put(l, labels, 3, &n_new, &err), &err);
    assert_int_equal(n_new, 0);
    label_log_close(l);
    ASSERT_OK(label_log_open(&opt, &l, &err), &err);
    labels[1].label.u.f = 0.75; /* another value: a label of its own */
    ASSERT_OK(label_log_put(l, labels, 3, &n_new, &err), &err);
    assert_int_equal(n_new, 1);
    assert_int_equal(labels_read(l, &last), 4);
    assert_true(label_number(&last) == 0.75 && str_is(last.client_id, "order-1"));
    label_log_close(l);
    arena_fini(&a);
}

static void test_label_json(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"label\":1}",
        "{\"prediction_id\":\"x\",\"label\":1}",
        "{\"client_id\":\"a\"}",
        "{\"client_id\":\"a\",\"label\":[1]}",
        "{\"client_id\":\"a\",\"keys\":{\"k\":1},\"label\":1}",
        "{\"keys\":{},\"label\":1}",
        "{\"client_id\":\"a\",\"label\":1,\"known_at\":\"yesterday\"}",
        "{\"client_id\":7,\"label\":1}",
        "{\"client_id\":\"a\",\"row\":-1,\"label\":1}"};
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct json *v;
        struct label_record l;
        struct err err = ERR_INIT;
        ASSERT_OK(json_read(str_c(bad[i]), &a, &v, &err), &err);
        assert_int_not_equal(label_from_json(v, STR("e"), 0, &a, &l, &err), ERR_OK);
        assert_true(strlen(err.msg) > 10);
    }
    struct label_record l = label_of("{\"keys\":{\"b\":2,\"a\":\"x\"},\"label\":\"NaN\"}", &a);
    assert_true(str_is(l.keys, "{\"a\":\"x\",\"b\":2}") && isnan(label_number(&l)));
    assert_true(json_get(label_json(&l, &a), "keys") != NULL);
    arena_fini(&a);
}

static void test_schemas(void **state)
{
    struct scratch *t = *state;
    struct err err = ERR_INIT;
    struct schema_store *s = NULL;
    char path[128];
    static const struct record_field fields[] = {{"origin", VAL_STR},
                                                 {"airport_hour.delay", VAL_FLOAT}};
    static const struct record_view views[] = {{"airport_hour", "abc", 1, 1}};
    static const char *const inputs[] = {"delay"}, *const outputs[] = {"predict"};
    struct record_schema one = {.release = 3,
                                .endpoint = "delay",
                                .fields = fields,
                                .n_fields = 2,
                                .n_request = 1,
                                .views = views,
                                .n_views = 1,
                                .inputs = inputs,
                                .n_inputs = 1,
                                .outputs = outputs,
                                .n_outputs = 1};
    snprintf(path, sizeof path, "%s/schemas.log", t->dir);
    ASSERT_OK(schema_store_open(path, true, &s, &err), &err);
    ASSERT_OK(schema_store_put(s, &one, &err), &err);
    ASSERT_OK(schema_store_put(s, &one, &err), &err);
    one.n_fields = 1;
    one.n_views = 0;
    assert_int_equal(schema_store_put(s, &one, &err), ERR_CONFLICT);
    schema_store_close(s);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    ASSERT_OK(schema_store_open(path, false, &s, &err), &err);
    const struct record_schema *got = schema_store_get(s, 3);
    assert_non_null(got);
    assert_string_equal(got->fields[1].name, "airport_hour.delay");
    assert_true(got->n_request == 1 && got->views[0].first == 1);
    assert_null(schema_store_get(s, 4));
    schema_store_close(s);
}

/* ---- the journal ---- */

struct seen {
    uint64_t first, last;
    size_t n;
};

static bool on_record(void *arg, uint64_t gen, int64_t at_us, const struct json *record)
{
    struct seen *s = arg;
    assert_true(json_get_int(record, "gen", 0) == (int64_t)gen && at_us == (int64_t)gen * 10);
    s->first = s->n == 0 ? gen : s->first;
    s->last = gen;
    s->n++;
    return true;
}

static struct seen journal_seen(struct journal *j, uint64_t after)
{
    struct arena a;
    struct err err = ERR_INIT;
    struct seen s = {0};
    arena_init(&a, 64 << 20);
    ASSERT_OK(journal_read(j, after, &a, on_record, &s, &err), &err);
    arena_fini(&a);
    return s;
}

static void journal_fill(struct journal *j, int n)
{
    struct arena a;
    struct err err = ERR_INIT;
    uint64_t gen;
    arena_init(&a, 1 << 20);
    struct json *rec = json_set(&a, json_obj(&a), "kind", json_cstr(&a, "hold"));
    for (int i = 0; i < n; i++)
        ASSERT_OK(journal_append(j, rec, (int64_t)(journal_generation(j) + 1) * 10, &gen, &err),
                  &err);
    arena_fini(&a);
}

static void test_journal(void **state)
{
    struct scratch *t = *state;
    struct err err = ERR_INIT;
    struct journal *j = NULL;
    struct stat st;
    int64_t cut = 0;
    char path[128];
    snprintf(path, sizeof path, "%s/decisions.log", t->dir);
    ASSERT_OK(journal_open(path, &j, &cut, &err), &err);
    journal_fill(j, 10);
    struct seen s = journal_seen(j, 7);
    assert_true(s.n == 3 && s.first == 8 && s.last == 10);
    journal_close(j);
    assert_int_equal(stat(path, &st), 0);
    for (off_t n = 1; n < 40; n += 3) { /* torn at many places */
        assert_int_equal(truncate(path, st.st_size - n), 0);
        ASSERT_OK(journal_open(path, &j, &cut, &err), &err);
        assert_true(journal_generation(j) == 9 && cut > 0);
        journal_fill(j, 1);
        assert_true(journal_seen(j, 0).n == 10);
        journal_close(j);
    }
    int fd = open(path, O_RDWR); /* damage in the middle is not a torn tail */
    assert_true(fd >= 0 && pwrite(fd, "#", 1, 120) == 1);
    close(fd);
    assert_int_equal(journal_open(path, &j, &cut, &err), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_labels_once, scratch_make, scratch_drop),
        cmocka_unit_test(test_label_json),
        cmocka_unit_test_setup_teardown(test_schemas, scratch_make, scratch_drop),
        cmocka_unit_test_setup_teardown(test_journal, scratch_make, scratch_drop),
    };
    return RUN_TESTS(tests);
}
