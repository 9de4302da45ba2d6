/* The journal as a book and as tables: every kind of record, twice the same, caught up after an outage. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "release/book.h"
#include "release/control.h"

#define ARENA ((size_t)64 << 20)

static struct json *record(struct arena *a, const char *kind, int64_t release, int64_t before,
                           int64_t after)
{
    struct json *o = json_obj(a);

    json_set(a, o, "kind", json_cstr(a, kind));
    json_set(a, o, "endpoint", json_cstr(a, "delay"));
    json_set(a, o, "actor", json_cstr(a, "test"));
    json_set(a, o, "reason", json_cstr(a, kind));
    json_set(a, o, "release", json_int(a, release));
    json_set(a, o, "before", json_int(a, before));
    return json_set(a, o, "after", json_int(a, after));
}

static struct json *plan_doc(struct arena *a)
{
    struct rollout_plan p = {.n_steps = 3, .alpha = 0.01, .pair = 1};

    p.steps[1].share = 500;
    p.steps[2].share = 10000;
    return rollout_plan_json(&p, a);
}

static struct json *with_rollout(struct arena *a, struct json *rec, int step, int64_t event_us)
{
    struct json *state = json_obj(a), *ro = json_obj(a), *extra = json_obj(a);

    json_set(a, ro, "plan", plan_doc(a));
    json_set(a, ro, "salt", json_cstr(a, "salt"));
    json_set(a, ro, "step", json_int(a, step));
    json_set(a, state, "rollout", ro);
    json_set(a, extra, "event_at", json_time(a, event_us));
    json_set(a, extra, "revision", json_cstr(a, "cafe"));
    json_set(a, rec, "extra", extra);
    return json_set(a, rec, "state", state);
}

static void test_book(void **state)
{
    struct book b;
    struct arena a;
    struct err err = ERR_INIT;
    struct book_endpoint *e;
    struct rollout_watch w;

    (void)state;
    arena_init(&a, ARENA);
    book_init(&b);
    ASSERT_OK(book_apply(&b, 1, 10, record(&a, "live", 1, 0, 1), &err), &err);
    ASSERT_OK(book_apply(&b, 2, 20,
                         with_rollout(&a, record(&a, "rollout_start", 2, 1, 1), 0, US_PER_DAY),
                         &err),
              &err);
    e = book_find(&b, "delay");
    assert_non_null(e);
    assert_true(e->has_rollout);
    assert_int_equal(e->rollout.state, ROLLOUT_SHADOW);
    assert_int_equal(e->rollout.id, 2);
    assert_int_equal(e->rollout.started_us, US_PER_DAY);
    assert_string_equal(book_origin(e, 2)->revision, "cafe");
    assert_true(book_watch(e, &w));
    assert_int_equal(w.n_stretches, 1);
    assert_true(w.is_shadow[0]);
    ASSERT_OK(book_apply(&b, 3, 30,
                         with_rollout(&a, record(&a, "rollout_step", 2, 1, 1), 1, 2 * US_PER_DAY),
                         &err),
              &err);
    assert_int_equal(e->rollout.state, ROLLOUT_CANARY);
    assert_int_equal(e->rollout.step, 1);
    ASSERT_OK(book_apply(&b, 4, 40, record(&a, "rollout_pause", 2, 1, 1), &err), &err);
    assert_int_equal(e->rollout.state, ROLLOUT_PAUSED);
    assert_true(book_watch(e, &w));
    assert_int_equal(w.stretches[2].step, -1);
    assert_int_equal(w.stretches[2].generation, 4);
    ASSERT_OK(book_apply(&b, 4, 40, record(&a, "rollout_abort", 2, 1, 1), &err),
              &err); /* seen: skipped */
    assert_int_equal(e->rollout.state, ROLLOUT_PAUSED);
    ASSERT_OK(book_apply(&b, 5, 50,
                         with_rollout(&a, record(&a, "rollout_step", 2, 1, 1), 1, 3 * US_PER_DAY),
                         &err),
              &err);
    assert_int_equal(e->rollout.state, ROLLOUT_CANARY);
    assert_int_equal(e->rollout.step_started_us[1], 3 * US_PER_DAY);
    ASSERT_OK(book_apply(&b, 6, 60, record(&a, "rollout_abort", 2, 1, 1), &err), &err);
    assert_int_equal(e->rollout.state, ROLLOUT_ROLLED_BACK);
    assert_false(e->has_rollout);
    assert_false(book_watch(e, &w));
    assert_int_equal(e->live, 1);
    book_fini(&b);
    arena_fini(&a);
}

/* A jump of two steps, or a step without a rollout, is damage, not a decision. */
static void test_book_refuses(void **state)
{
    struct book b;
    struct arena a;
    struct err err = ERR_INIT;

    (void)state;
    arena_init(&a, ARENA);
    book_init(&b);
    assert_int_equal(
        book_apply(&b, 1, 10, with_rollout(&a, record(&a, "rollout_step", 2, 1, 1), 1, 5), &err),
        ERR_CORRUPT);
    ASSERT_OK(
        book_apply(&b, 2, 20, with_rollout(&a, record(&a, "rollout_start", 2, 1, 1), 0, 5), &err),
        &err);
    assert_int_equal(
        book_apply(&b, 3, 30, with_rollout(&a, record(&a, "rollout_step", 2, 1, 1), 2, 6), &err),
        ERR_CORRUPT);
    assert_int_equal(book_apply(&b, 4, 30, record(&a, "no_such_kind", 2, 1, 1), &err), ERR_CORRUPT);
    book_fini(&b);
    arena_fini(&a);
}

/* ---- the tables ---- */
struct desk {
    char dir[PATH_BYTES];
    struct arena a;
    struct db *db;
    struct journal *journal;
    struct blob_store *blobs;
    struct serve *serve;
    struct release_host *host;
};

static void desk_open(struct desk *d)
{
    struct err err = ERR_INIT;
    struct serve_options so;

    (void)snprintf(d->dir, sizeof(d->dir), "/tmp/pawl-test-book-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    arena_init(&d->a, ARENA);
    ASSERT_OK(journal_open(path_join(&d->a, d->dir, "decisions.log"), &d->journal, NULL, &err),
              &err);
    ASSERT_OK(blob_open(path_join(&d->a, d->dir, "store"), &d->blobs, &err), &err);
    so = (struct serve_options){.dir = path_join(&d->a, d->dir, "serving"),
                                .blobs = d->blobs,
                                .journal = d->journal,
                                .is_replay = true};
    ASSERT_OK(dir_make(so.dir, 0700, &err), &err);
    ASSERT_OK(serve_open(&so, &d->serve, &err), &err);
}

static void desk_db(struct desk *d)
{
    struct err err = ERR_INIT;
    struct db_options opt = {.url = str_printf(&d->a, "sqlite:%s/pawl.db", d->dir),
                             .n_readers = 1,
                             .busy_ms = 1000,
                             .may_migrate = true};

    ASSERT_OK(db_open(&opt, &d->db, &err), &err);
}

static void desk_host(struct desk *d, struct db *db)
{
    struct err err = ERR_INIT;
    struct release_host_options opt = {.home = d->dir,
                                       .db = db,
                                       .journal = d->journal,
                                       .serve = d->serve,
                                       .blobs = d->blobs,
                                       .clock = CLOCK_SYSTEM};

    ASSERT_OK(release_host_open(&opt, &d->host, &err), &err);
}

static void desk_close(struct desk *d)
{
    struct err err = ERR_INIT;

    release_host_close(d->host);
    serve_close(d->serve);
    blob_close(d->blobs);
    journal_close(d->journal);
    if (d->db)
        db_close(d->db);
    if (dir_remove(d->dir, &err) != ERR_OK)
        print_message("%s\n", err.msg);
    arena_fini(&d->a);
}

static void journal_put(struct desk *d, const struct json *rec)
{
    struct err err = ERR_INIT;
    uint64_t gen;

    ASSERT_OK(journal_append(d->journal, rec, 1000, &gen, &err), &err);
}

static int64_t make_release(struct desk *d, double threshold)
{
    struct err err = ERR_INIT;
    struct release_parts p = {
        .endpoint = "delay", .model_digest = "aa", .tree_digest = "bb", .threshold = threshold};
    struct release_new n = {.author = "ann", .reason = "test", .at_us = 1};
    struct json *doc;
    struct digest digest;
    int64_t number;

    ASSERT_OK(release_doc(&p, &d->a, &doc, &digest, &err), &err);
    n.doc = doc;
    ASSERT_OK(release_create(d->db, &n, &number, &err), &err);
    return number;
}

static enum release_state state_of(struct desk *d, int64_t number)
{
    struct release r;
    struct err err = ERR_INIT;

    ASSERT_OK(release_get(d->db, number, &d->a, &r, &err), &err);
    return r.state;
}

static enum err_code count_read(struct db_tx *tx, void *arg, struct err *err)
{
    return db_get_i64(tx, arg, err, "SELECT COUNT(*) FROM endpoint_decisions", "");
}

static int64_t count_decisions(struct desk *d)
{
    struct err err = ERR_INIT;
    int64_t n = -1;

    ASSERT_OK(db_read(d->db, count_read, &n, &err), &err);
    return n;
}

static void approve(struct desk *d, int64_t number)
{
    struct err err = ERR_INIT;

    ASSERT_OK(release_move(d->db, number, RELEASE_GATED, "test", "", 1, &err), &err);
    ASSERT_OK(release_move(d->db, number, RELEASE_APPROVED, "test", "", 1, &err), &err);
}

/* Decisions made while the database is away are in the tables once it is back; a second projection changes nothing. */
static void test_projection_catches_up(void **state)
{
    struct desk d = {0};
    struct err err = ERR_INIT;
    int64_t r1, r2;

    (void)state;
    desk_open(&d);
    desk_db(&d);
    r1 = make_release(&d, 0.5);
    r2 = make_release(&d, 0.6);
    approve(&d, r1);
    approve(&d, r2);
    desk_host(&d, NULL); /* away */
    journal_put(&d, record(&d.a, "live", r1, 0, r1));
    journal_put(&d, with_rollout(&d.a, record(&d.a, "rollout_start", r2, r1, r1), 0, US_PER_DAY));
    assert_int_equal(release_project(d.host, &err), ERR_UNAVAILABLE);
    assert_int_equal(state_of(&d, r1), RELEASE_APPROVED);
    err_reset(&err);
    ASSERT_OK(release_host_attach(d.host, d.db, NULL, &err), &err);
    assert_int_equal(state_of(&d, r1), RELEASE_LIVE);
    assert_int_equal(state_of(&d, r2), RELEASE_ROLLING);
    assert_int_equal(count_decisions(&d), 2);
    ASSERT_OK(release_project(d.host, &err), &err);
    assert_int_equal(count_decisions(&d), 2);
    journal_put(&d, record(&d.a, "rollout_abort", r2, r1, r1));
    ASSERT_OK(release_project(d.host, &err), &err);
    assert_int_equal(state_of(&d, r2), RELEASE_ROLLED_BACK);
    assert_int_equal(state_of(&d, r1), RELEASE_LIVE);
    assert_int_equal(count_decisions(&d), 3);
    desk_close(&d);
}

static void test_rollback_projects(void **state)
{
    struct desk d = {0};
    struct err err = ERR_INIT;
    int64_t r1, r2;

    (void)state;
    desk_open(&d);
    desk_db(&d);
    r1 = make_release(&d, 0.5);
    r2 = make_release(&d, 0.6);
    approve(&d, r1);
    approve(&d, r2);
    desk_host(&d, d.db);
    journal_put(&d, record(&d.a, "live", r1, 0, r1));
    journal_put(&d, record(&d.a, "live", r2, r1, r2));
    ASSERT_OK(release_project(d.host, &err), &err);
    assert_int_equal(state_of(&d, r1), RELEASE_RETIRED);
    journal_put(&d, record(&d.a, "rollback", r1, r2, r1));
    ASSERT_OK(release_project(d.host, &err), &err);
    assert_int_equal(state_of(&d, r2), RELEASE_ROLLED_BACK);
    assert_int_equal(state_of(&d, r1), RELEASE_LIVE);
    desk_close(&d);
}

/* The same content decided twice is one draft; what is decided already starts a new one. */
static void test_create(void **state)
{
    struct desk d = {0};
    struct err err = ERR_INIT;
    int64_t r1, again, third;

    (void)state;
    desk_open(&d);
    desk_db(&d);
    r1 = make_release(&d, 0.5);
    again = make_release(&d, 0.5);
    assert_int_equal(r1, again);
    ASSERT_OK(release_move(d.db, r1, RELEASE_REJECTED, "test", "no", 1, &err), &err);
    third = make_release(&d, 0.5);
    assert_int_not_equal(third, r1);
    assert_int_equal(release_move(d.db, r1, RELEASE_LIVE, "test", "no", 1, &err), ERR_REFUSED);
    desk_close(&d);
}

/* Somebody other than the author agrees, in each role that is needed, to exactly what was gated. */
static void test_approvals(void **state)
{
    struct desk d = {0};
    struct err err = ERR_INIT;
    struct release r;
    struct json *report, *needs, *ret;
    int64_t n;

    (void)state;
    desk_open(&d);
    desk_db(&d);
    desk_host(&d, d.db);
    n = make_release(&d, 0.5);
    assert_int_equal(release_approve(d.host, n, "ml", "bob", "", &d.a, &ret, &err),
                     ERR_REFUSED); /* not gated */
    ASSERT_OK(release_get(d.db, n, &d.a, &r, &err), &err);
    report = json_obj(&d.a);
    needs = json_arr(&d.a);
    json_add(&d.a, needs, json_cstr(&d.a, "ml"));
    json_add(&d.a, needs, json_cstr(&d.a, "business"));
    json_set(&d.a, report, "digest", json_cstr(&d.a, r.digest));
    json_set(&d.a, report, "needs_approval", needs);
    ASSERT_OK(release_set_report(d.db, n, report, &err), &err);
    ASSERT_OK(release_move(d.db, n, RELEASE_GATED, "gates", "", 1, &err), &err);
    assert_int_equal(release_approve(d.host, n, "ml", "ann", "", &d.a, &ret, &err),
                     ERR_FORBIDDEN); /* the author */
    assert_int_equal(release_approve(d.host, n, "ceo", "bob", "", &d.a, &ret, &err), ERR_INVALID);
    ASSERT_OK(release_approve(d.host, n, "ml", "bob", "fine", &d.a, &ret, &err), &err);
    assert_true(str_is(json_get_str(ret, "state"), "gated"));
    assert_int_equal(json_len(json_get(ret, "missing")), 1);
    assert_int_equal(release_approve(d.host, n, "ml", "cy", "", &d.a, &ret, &err), ERR_EXISTS);
    err_reset(&err);
    ASSERT_OK(release_approve(d.host, n, "business", "dee", "fine", &d.a, &ret, &err), &err);
    assert_int_equal(state_of(&d, n), RELEASE_APPROVED);
    ASSERT_OK(release_reject(d.host, n, "bob", "changed my mind", &err), &err);
    assert_int_equal(state_of(&d, n), RELEASE_REJECTED);
    desk_close(&d);
}

/* A report about other content approves nothing. */
static void test_approval_is_bound(void **state)
{
    struct desk d = {0};
    struct err err = ERR_INIT;
    struct json *report, *ret;
    int64_t n;

    (void)state;
    desk_open(&d);
    desk_db(&d);
    desk_host(&d, d.db);
    n = make_release(&d, 0.5);
    report = json_obj(&d.a);
    json_set(&d.a, report, "digest", json_cstr(&d.a, "0000"));
    ASSERT_OK(release_set_report(d.db, n, report, &err), &err);
    ASSERT_OK(release_move(d.db, n, RELEASE_GATED, "gates", "", 1, &err), &err);
    assert_int_equal(release_approve(d.host, n, "ml", "bob", "", &d.a, &ret, &err), ERR_REFUSED);
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_book),
                                       cmocka_unit_test(test_book_refuses),
                                       cmocka_unit_test(test_create),
                                       cmocka_unit_test(test_approvals),
                                       cmocka_unit_test(test_approval_is_bound),
                                       cmocka_unit_test(test_projection_catches_up),
                                       cmocka_unit_test(test_rollback_projects)};

    return RUN_TESTS(tests);
}
