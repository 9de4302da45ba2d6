/* What db/ promises, on SQLite and on a throw-away PostgreSQL: every test runs on both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "db/db.h"
#include "fixture/postgres.h"

static const char *const LITE_1[] = {
    "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, score REAL, raw BLOB) STRICT",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, t_id INTEGER NOT NULL REFERENCES t(id)) STRICT",
    NULL};
static const char *const PG_1[] = {
    "CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT COLLATE \"C\" UNIQUE, score DOUBLE PRECISION,"
    " raw BYTEA)",
    "CREATE TABLE child (id BIGINT PRIMARY KEY, t_id BIGINT NOT NULL REFERENCES t(id))", NULL};
static const char *const LITE_2[] = {"ALTER TABLE t ADD COLUMN extra TEXT", NULL};
static const char *const PG_2[] = {"ALTER TABLE t ADD COLUMN extra TEXT", NULL};
static const char *const LITE_BAD[] = {"CREATE TABLE half (id INTEGER PRIMARY KEY) STRICT",
                                       "CREATE TABLE t (again INTEGER)", NULL};
static const char *const PG_BAD[] = {"CREATE TABLE half (id BIGINT PRIMARY KEY)",
                                     "CREATE TABLE t (again BIGINT)", NULL};
static const struct db_migration STEPS[] = {{1, "first", 1, 1, LITE_1, PG_1},
                                            {2, "second", 1, 2, LITE_2, PG_2},
                                            {3, "bad", 3, 3, LITE_BAD, PG_BAD}};

static struct postgres *pg;
static bool is_on_postgres;

struct fixture {
    char dir[64];
    char url[POSTGRES_URL_BYTES];
    struct db *db;
    struct arena arena;
};

static struct db *open_with(const struct fixture *f, size_t n_steps, bool may_migrate,
                            struct err *err)
{
    struct db_options opt = {.url = f->url,
                             .n_readers = 4,
                             .busy_ms = 2000,
                             .may_migrate = may_migrate,
                             .migrations = STEPS,
                             .n_migrations = n_steps};
    struct db *db = NULL;
    return db_open(&opt, &db, err) == ERR_OK ? db : NULL;
}

static int setup(void **state, bool on_postgres)
{
    is_on_postgres = on_postgres;
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/pawl-db-XXXXXX");
    CHECK(f && mkdtemp(f->dir));
    arena_init(&f->arena, 1 << 20);
    if (is_on_postgres && (!pg || !postgres_database(pg, f->url))) {
        *state = f;
        return 0;
    }
    if (!is_on_postgres)
        snprintf(f->url, sizeof(f->url), "sqlite:%s/t.db", f->dir);
    struct err err = ERR_INIT;
    f->db = open_with(f, 1, true, &err);
    if (!f->db)
        fprintf(stderr, "%s\n", err.msg);
    *state = f;
    return f->db ? 0 : -1;
}

static int setup_sqlite(void **state)
{
    return setup(state, false);
}

static int setup_postgres(void **state)
{
    return setup(state, true);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    db_close(f->db);
    arena_fini(&f->arena);
    assert_int_equal(dir_remove(f->dir, NULL), ERR_OK);
    free(f);
    return 0;
}

#define NEED_DB(f)                                                                                 \
    do {                                                                                           \
        if (!(f)->db)                                                                              \
            skip();                                                                                \
    } while (0)

struct row {
    int64_t id;
    const char *name;
    double score;
    struct str raw;
    int64_t changes;
};

static enum err_code row_put(struct db_tx *tx, void *arg, struct err *err)
{
    struct row *r = arg;
    enum err_code code = db_exec(tx, err, "INSERT INTO t(id, name, score, raw) VALUES (?, ?, ?, ?)",
                                 "isfb", r->id, r->name, r->score, r->raw);
    r->changes = db_changes(tx);
    return code;
}

static enum err_code count_fn(struct db_tx *tx, void *arg, struct err *err)
{
    return db_get_i64(tx, arg, err, "SELECT count(*) FROM t", "");
}

static int64_t count(struct db *db)
{
    int64_t n = -1;
    assert_int_equal(db_read(db, count_fn, &n, NULL), ERR_OK);
    return n;
}

static enum err_code put(struct db *db, int64_t id, const char *name, struct err *err)
{
    struct row r = {.id = id, .name = name, .score = 1.5, .raw = STR("x")};
    return db_write(db, row_put, &r, err);
}

/* ---- values ---- */

static enum err_code read_back(struct db_tx *tx, void *arg, struct err *err)
{
    struct db_rows *rows = NULL;
    static const char raw[] = {0, 1, (char)0xff, '\\', '\''};
    assert_int_equal(db_query(tx, &rows, err, "SELECT id, name, score, raw FROM t ORDER BY id", ""),
                     ERR_OK);
    assert_true(db_next(rows));
    assert_int_equal(db_i64(rows, 0), INT64_MIN);
    assert_true(str_is(db_str(rows, 1), "it's ö ? $1"));
    assert_true(db_f64(rows, 2) == 0.1 + 0.2);
    assert_true(str_eq(db_blob(rows, 3), str_n(raw, sizeof(raw))));
    assert_true(db_next(rows));
    assert_int_equal(db_i64(rows, 0), INT64_MAX);
    assert_true(db_is_null(rows, 1));
    assert_null(db_str(rows, 1).p);
    assert_true(isinf(db_f64(rows, 2)));
    assert_int_equal(db_blob(rows, 3).n, 0);
    assert_false(db_is_null(rows, 3));
    assert_false(db_next(rows));
    return db_done(rows, err);
}

static void values_come_back_exactly(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    static const char raw[] = {0, 1, (char)0xff, '\\', '\''};
    struct row a = {
        .id = INT64_MIN, .name = "it's ö ? $1", .score = 0.1 + 0.2, .raw = str_n(raw, sizeof(raw))};
    struct row b = {.id = INT64_MAX, .name = NULL, .score = INFINITY, .raw = str_n("", 0)};
    struct err err = ERR_INIT;
    assert_int_equal(db_write(f->db, row_put, &a, &err), ERR_OK);
    assert_int_equal(a.changes, 1);
    assert_int_equal(db_write(f->db, row_put, &b, &err), ERR_OK);
    assert_int_equal(db_read(f->db, read_back, NULL, &err), ERR_OK);
}

static void nan_nul_and_bad_utf8_are_refused(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    struct err err = ERR_INIT;
    struct row r = {.id = 1, .name = "a", .score = NAN, .raw = STR("")};
    assert_int_equal(db_write(f->db, row_put, &r, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "NaN"));
    r.score = 1;
    r.name = "bad \xff utf-8";
    assert_int_equal(db_write(f->db, row_put, &r, &err), ERR_INVALID);
    assert_int_equal(count(f->db), 0);
}

/* ---- errors and isolation ---- */

static enum err_code orphan_put(struct db_tx *tx, void *arg, struct err *err)
{
    return db_exec(tx, err, "INSERT INTO child(id, t_id) VALUES (1, 77)", "");
}

static enum err_code missing_get(struct db_tx *tx, void *arg, struct err *err)
{
    int64_t v;
    if (db_get_i64(tx, &v, err, "SELECT id FROM t WHERE id = ?", "i", (int64_t)5) != ERR_NOT_FOUND)
        return ERR_INTERNAL;
    /* Not finding a row spoils nothing. */
    return db_exec(tx, err, "INSERT INTO t(id) VALUES (5)", "");
}

static void violations_have_their_codes(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    struct err err = ERR_INIT;
    assert_int_equal(put(f->db, 1, "a", &err), ERR_OK);
    assert_int_equal(put(f->db, 1, "b", &err), ERR_EXISTS);
    assert_int_equal(put(f->db, 2, "a", &err), ERR_EXISTS);
    assert_int_equal(db_write(f->db, orphan_put, NULL, &err), ERR_CONFLICT);
    assert_int_equal(db_write(f->db, missing_get, NULL, &err), ERR_OK);
    assert_int_equal(count(f->db), 2);
}

static enum err_code swallow(struct db_tx *tx, void *arg, struct err *err)
{
    int64_t v;
    enum err_code first = db_exec(tx, NULL, "INSERT INTO t(id) VALUES (10)", "");
    enum err_code second = db_exec(tx, NULL, "INSERT INTO t(id) VALUES (10)", "");
    assert_int_equal(first, ERR_OK);
    assert_int_equal(second, ERR_EXISTS);
    assert_int_equal(db_get_i64(tx, &v, NULL, "SELECT 1", ""), ERR_EXISTS);
    return ERR_OK; /* as if nothing had happened */
}

static void a_failed_statement_spoils_its_callback(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    struct err err = ERR_INIT;
    assert_int_equal(db_write(f->db, swallow, NULL, &err), ERR_EXISTS);
    assert_int_equal(count(f->db), 0);
    assert_int_equal(put(f->db, 10, "after", &err), ERR_OK);
}

static enum err_code insert_twice(struct db_tx *tx, void *arg, struct err *err)
{
    enum err_code code = db_exec(tx, err, "INSERT INTO t(id) VALUES (20)", "");
    return code == ERR_OK ? db_exec(tx, err, "INSERT INTO t(id) VALUES (20)", "") : code;
}

static enum err_code try_and_go_on(struct db_tx *tx, void *arg, struct err *err)
{
    enum err_code code = db_exec(tx, err, "INSERT INTO t(id) VALUES (21)", "");
    assert_int_equal(code, ERR_OK);
    assert_int_equal(db_try(tx, insert_twice, NULL, err), ERR_EXISTS);
    return db_exec(tx, err, "INSERT INTO t(id) VALUES (22)", "");
}

static void db_try_undoes_only_its_part(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    struct err err = ERR_INIT;
    assert_int_equal(db_write(f->db, try_and_go_on, NULL, &err), ERR_OK);
    assert_int_equal(count(f->db), 2);
}

static void reads_cannot_write(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    struct err err = ERR_INIT;
    assert_int_not_equal(db_read(f->db, orphan_put, NULL, &err), ERR_OK);
}

/* ---- many writers ---- */

#define N_THREADS 16
#define N_EACH    50

struct writer_job {
    struct db *db;
    int no;
    atomic_int *n_ok, *n_exists;
};

static void *writer_thread(void *arg)
{
    struct writer_job *j = arg;
    for (int i = 0; i < N_EACH; i++) {
        /* Every tenth id is the same for all threads: one wins, the others fail alone. */
        int64_t id = i % 10 == 0 ? 1000000 + i : (int64_t)j->no * N_EACH + i;
        struct row r = {.id = id, .name = NULL, .score = 1, .raw = STR("")};
        enum err_code code = db_write(j->db, row_put, &r, NULL);
        atomic_fetch_add(code == ERR_OK ? j->n_ok : j->n_exists, 1);
        CHECK(code == ERR_OK || code == ERR_EXISTS);
    }
    return NULL;
}

static void group_commit_keeps_every_caller_apart(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    pthread_t threads[N_THREADS];
    struct writer_job jobs[N_THREADS];
    atomic_int n_ok = 0, n_exists = 0;
    for (int i = 0; i < N_THREADS; i++) {
        jobs[i] = (struct writer_job){f->db, i, &n_ok, &n_exists};
        assert_int_equal(pthread_create(&threads[i], NULL, writer_thread, &jobs[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    int n_shared = N_EACH / 10;
    assert_int_equal(n_ok, N_THREADS * (N_EACH - n_shared) + n_shared);
    assert_int_equal(n_exists, (N_THREADS - 1) * n_shared);
    assert_int_equal(count(f->db), n_ok);
}

static enum err_code number_fn(struct db_tx *tx, void *arg, struct err *err)
{
    return db_next_number(tx, "things", arg, err);
}

static void sequences_count_from_one(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    for (int64_t want = 1; want <= 3; want++) {
        int64_t got = 0;
        assert_int_equal(db_write(f->db, number_fn, &got, NULL), ERR_OK);
        assert_int_equal(got, want);
    }
}

/* ---- dialect ---- */

static enum err_code dialect_fn(struct db_tx *tx, void *arg, struct err *err)
{
    int64_t n = 0;
    char *first = NULL;
    const char *names[] = {"b", "B", "a", "Ä"};
    for (int64_t i = 0; i < 4; i++)
        assert_int_equal(
            db_exec(tx, err, "INSERT INTO t(id, name) VALUES (?, ?)", "is", i, names[i]), ERR_OK);
    assert_int_equal(db_get_i64(tx, &n, err, "SELECT count(*) FROM t WHERE name LIKE ?", "s", "b%"),
                     ERR_OK);
    assert_int_equal(n, 1);
    assert_int_equal(db_get_str(tx, arg, &first, err, "SELECT name FROM t ORDER BY name LIMIT ?",
                                "i", (int64_t)1),
                     ERR_OK);
    assert_string_equal(first, "B");
    assert_int_equal(db_exec(tx, err,
                             "INSERT INTO t(id, name) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET"
                             " name = excluded.name",
                             "is", (int64_t)0, "changed"),
                     ERR_OK);
    assert_int_equal(db_get_i64(tx, &n, err, "SELECT sum(id) FROM t", ""), ERR_OK);
    assert_int_equal(n, 6);
    assert_int_equal(db_get_i64(tx, &n, err, "SELECT id > 0 FROM t WHERE name = 'changed'", ""),
                     ERR_OK);
    assert_int_equal(n, 0);
    struct db_arg args[] = {{.kind = 't', .u.t = STR("a")}, {.kind = 'i', .u.i = 2}};
    struct db_rows *rows = NULL;
    assert_int_equal(
        db_query_args(tx, &rows, err, "SELECT id FROM t WHERE name = ? AND id = ?", args, 2),
        ERR_OK);
    assert_true(db_next(rows));
    return db_done(rows, err);
}

static void both_speak_the_same_subset(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    struct err err = ERR_INIT;
    assert_int_equal(db_write(f->db, dialect_fn, &f->arena, &err), ERR_OK);
}

static enum err_code many_statements(struct db_tx *tx, void *arg, struct err *err)
{
    char sql[64];
    enum err_code code = ERR_OK;
    for (int i = 0; i < 2000 && code == ERR_OK; i++) {
        int64_t v = -1;
        snprintf(sql, sizeof(sql), "SELECT %d + ?", i);
        code = db_get_i64(tx, &v, err, sql, "i", (int64_t)1);
        assert_int_equal(v, i + 1);
    }
    return code;
}

static void more_statements_than_the_cache_holds(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    struct err err = ERR_INIT;
    assert_int_equal(db_read(f->db, many_statements, NULL, &err), ERR_OK);
}

static enum err_code nested_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct db_rows *outer = NULL, *inner = NULL;
    const char *sql = "SELECT id FROM t ORDER BY id";
    int n = 0;
    assert_int_equal(db_query(tx, &outer, err, sql, ""), ERR_OK);
    while (db_next(outer)) {
        assert_int_equal(db_query(tx, &inner, err, sql, ""), ERR_OK);
        while (db_next(inner))
            n++;
        assert_int_equal(db_done(inner, err), ERR_OK);
    }
    assert_int_equal(n, 9);
    return db_done(outer, err);
}

static void the_same_statement_may_be_open_twice(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    for (int64_t i = 0; i < 3; i++)
        assert_int_equal(put(f->db, i, NULL, NULL), ERR_OK);
    assert_int_equal(db_read(f->db, nested_fn, NULL, NULL), ERR_OK);
}

/* ---- migrations ---- */

static void migrations_run_once_and_only_where_allowed(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    struct err err = ERR_INIT;
    assert_int_equal(put(f->db, 1, "kept", &err), ERR_OK);
    db_close(f->db);
    f->db = open_with(f, 2, false, &err);
    assert_null(f->db);
    assert_int_equal(err.code, ERR_REFUSED);
    f->db = open_with(f, 2, true, &err);
    assert_non_null(f->db);
    assert_int_equal(db_schema_version(f->db), 2);
    assert_int_equal(count(f->db), 1);
    db_close(f->db);
    f->db = open_with(f, 2, false, &err);
    assert_non_null(f->db);
}

static void a_failing_migration_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    struct err err = ERR_INIT;
    db_close(f->db);
    f->db = open_with(f, 3, true, &err);
    assert_null(f->db);
    assert_non_null(strstr(err.msg, "0003_bad, statement 2"));
    f->db = open_with(f, 2, false, &err);
    assert_non_null(f->db);
    assert_int_equal(put(f->db, 1, "works", &err), ERR_OK);
}

static void an_older_program_reads_what_it_may(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    struct err err = ERR_INIT;
    db_close(f->db);
    f->db = open_with(f, 2, true, &err);
    db_close(f->db);
    /* Step 2 lets readers of schema 1 in, and no writers. */
    f->db = open_with(f, 1, true, &err);
    assert_non_null(f->db);
    assert_int_equal(count(f->db), 0);
    assert_int_equal(put(f->db, 1, "x", &err), ERR_UNSUPPORTED);
}

static enum err_code schema_text(struct db_tx *tx, void *arg, struct err *err)
{
    struct buf *out = arg;
    struct db_rows *rows = NULL;
    const char *sql =
        db_tx_is_postgres(tx)
            ? "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable"
              " FROM information_schema.columns WHERE table_schema = 'public'"
              " UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
            : "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY sql";
    enum err_code code = db_query(tx, &rows, err, sql, "");
    while (code == ERR_OK && db_next(rows)) {
        buf_str(out, db_str(rows, 0));
        buf_ch(out, '\n');
    }
    return code == ERR_OK ? db_done(rows, err) : code;
}

/* A store made at once and one that came from each earlier version end with the same schema. */
static void every_earlier_version_reaches_the_same_schema(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    struct buf want, got;
    buf_init(&want, 1 << 20);
    buf_init(&got, 1 << 20);
    for (size_t from = 0; from < N_DB_MIGRATIONS; from++) {
        struct err err = ERR_INIT;
        char url[POSTGRES_URL_BYTES];
        if (is_on_postgres)
            assert_true(postgres_database(pg, url));
        else
            snprintf(url, sizeof(url), "sqlite:%s/from%zu.db", f->dir, from);
        struct db_options opt = {.url = url, .n_readers = 1, .busy_ms = 2000, .may_migrate = true};
        opt.migrations = DB_MIGRATIONS;
        opt.n_migrations = from;
        struct db *db = NULL;
        if (from > 0) {
            assert_int_equal(db_open(&opt, &db, &err), ERR_OK);
            db_close(db);
        }
        opt.n_migrations = N_DB_MIGRATIONS;
        if (db_open(&opt, &db, &err) != ERR_OK)
            fail_msg("%s", err.msg);
        buf_reset(&got);
        assert_int_equal(db_read(db, schema_text, &got, &err), ERR_OK);
        db_close(db);
        if (from == 0)
            buf_str(&want, buf_view(&got));
        assert_true(str_eq(buf_view(&want), buf_view(&got)));
    }
    assert_true(want.n > 100);
    buf_fini(&want);
    buf_fini(&got);
}

static void a_store_reopens_with_what_was_written(void **state)
{
    struct fixture *f = *state;
    NEED_DB(f);
    struct err err = ERR_INIT;
    assert_int_equal(put(f->db, 1, "kept", &err), ERR_OK);
    db_close(f->db);
    f->db = open_with(f, 1, false, &err);
    assert_non_null(f->db);
    assert_int_equal(count(f->db), 1);
    assert_int_equal(db_ping(f->db, &err), ERR_OK);
}

static int start_server(void **state)
{
    pg = postgres_start();
    return 0;
}

static int stop_server(void **state)
{
    postgres_stop(pg);
    return 0;
}

#define ON_BOTH(test)                                                                              \
    {"sqlite: " #test, test, setup_sqlite, teardown, NULL},                                        \
    {                                                                                              \
        "postgresql: " #test, test, setup_postgres, teardown, NULL                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(values_come_back_exactly),
        ON_BOTH(nan_nul_and_bad_utf8_are_refused),
        ON_BOTH(violations_have_their_codes),
        ON_BOTH(a_failed_statement_spoils_its_callback),
        ON_BOTH(db_try_undoes_only_its_part),
        ON_BOTH(reads_cannot_write),
        ON_BOTH(group_commit_keeps_every_caller_apart),
        ON_BOTH(sequences_count_from_one),
        ON_BOTH(both_speak_the_same_subset),
        ON_BOTH(more_statements_than_the_cache_holds),
        ON_BOTH(the_same_statement_may_be_open_twice),
        ON_BOTH(migrations_run_once_and_only_where_allowed),
        ON_BOTH(a_failing_migration_leaves_nothing),
        ON_BOTH(an_older_program_reads_what_it_may),
        ON_BOTH(every_earlier_version_reaches_the_same_schema),
        ON_BOTH(a_store_reopens_with_what_was_written),
    };
    return cmocka_run_group_tests_name("db", tests, start_server, stop_server);
}
