/* A home in a temporary folder, and a pool whose children are this test executable: `TEST worker --fd 3`. */
#ifndef PAWL_TESTS_DATA_FIXTURE_H
#define PAWL_TESTS_DATA_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#include "base/file.h"
#include "blob/blob.h"
#include "config/config.h"
#include "data/data_worker.h"
#include "data/version.h"
#include "db/db.h"
#include "job/worker.h"
#include "table/table.h"

struct fixture {
    char dir[64]; /* the project's folder */
    char tmp[96];
    struct arena a;
    struct err err;
    struct data_env env;
    _Atomic int64_t now_us;
    struct sources_spec sources;
    struct cfg_node *root; /* of the last yaml */
    struct cfg_problems problems;
};

static inline int fixture_set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char url[128], store[96];
    assert_non_null(f);
    arena_init(&f->a, (size_t)2 << 30);
    memcpy(f->dir, "/tmp/pawl-data-XXXXXX", sizeof "/tmp/pawl-data-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->tmp, sizeof f->tmp, "%s/.pawl/tmp", f->dir);
    (void)snprintf(store, sizeof store, "%s/.pawl/store", f->dir);
    (void)snprintf(url, sizeof url, "sqlite:%s/.pawl/pawl.db", f->dir);
    ASSERT_OK(dir_make(f->tmp, 0700, &f->err), &f->err);
    struct db_options db = {.url = url, .n_readers = 2, .busy_ms = 5000, .may_migrate = true};
    ASSERT_OK(db_open(&db, &f->env.db, &f->err), &f->err);
    ASSERT_OK(blob_open(store, &f->env.blobs, &f->err), &f->err);
    struct worker_pool_options pool = {.n_max = 1, .idle_ms = 60000};
    ASSERT_OK(worker_pool_open(&pool, &f->env.pool, &f->err), &f->err);
    atomic_store(&f->now_us, INT64_C(1000000000000000));
    f->env.clock = clock_manual(&f->now_us);
    f->env.project = "test";
    f->env.project_root = f->dir;
    f->env.tmp_dir = f->tmp;
    *state = f;
    return 0;
}

static inline int fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    worker_pool_close(f->env.pool);
    blob_close(f->env.blobs);
    db_close(f->env.db);
    assert_int_equal(dir_remove(f->dir, &f->err), ERR_OK);
    arena_fini(&f->a);
    free(f);
    return 0;
}

/* A file of the project. */
static inline void fixture_write(struct fixture *f, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
    ASSERT_OK(file_write(path, str_c(text), 0600, &f->err), &f->err);
}

/* The rows of a SELECT as a Parquet file of the project. */
static inline void fixture_parquet(struct fixture *f, const char *name, const char *select)
{
    char path[256];
    struct table *t = NULL;
    int64_t n = 0;
    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
    ASSERT_OK(table_open(&(struct table_options){.n_threads = 2}, &t, &f->err), &f->err);
    ASSERT_OK(table_write_parquet(t, str_c(select), path, &n, &f->err), &f->err);
    table_close(t);
}

/* Reads pawl.yaml text and its sources; problems stay in f->problems. */
static inline void fixture_yaml(struct fixture *f, const char *text)
{
    cfg_problems_init(&f->problems, &f->a);
    char *copy = str_dup(&f->a, str_c(text));
    ASSERT_OK(cfg_read(str_c(copy), "pawl.yaml", &f->a, &f->root, &f->problems, &f->err), &f->err);
    assert_non_null(f->root);
    sources_spec_decode(cfg_get(f->root, "sources"), f->root, &f->a, &f->sources, &f->problems);
}

static inline void fixture_no_problems(struct fixture *f)
{
    if (cfg_problems_err(&f->problems, &f->err) != ERR_OK)
        fail_msg("%s", f->err.msg);
}

static inline struct data_version fixture_snapshot(struct fixture *f, const char *source)
{
    struct data_version v = {0};
    const struct source_spec *s = sources_spec_find(&f->sources, str_c(source));
    assert_non_null(s);
    ASSERT_OK(data_snapshot(&f->env, s, &f->a, &v, NULL, &f->err), &f->err);
    return v;
}

/* Bindings of all sources. */
static inline struct json *fixture_bindings(struct fixture *f)
{
    struct json *list = json_arr(&f->a);
    for (size_t i = 0; i < f->sources.n; i++) {
        struct data_version v = {0};
        struct json *b = NULL;
        ASSERT_OK(data_snapshot(&f->env, &f->sources.p[i], &f->a, &v, NULL, &f->err), &f->err);
        ASSERT_OK(data_binding(&f->env, &f->sources.p[i], &v, &f->a, &b, &f->err), &f->err);
        json_add(&f->a, list, b);
    }
    return list;
}

static inline const char *fixture_path(struct fixture *f, const char *name)
{
    return path_join(&f->a, f->dir, name);
}

#endif
