/* The project file with its includes, owners and runbooks with their fallbacks, and revisions. */
#include <stdio.h>
#include <stdlib.h>

#include "test.h"

#include "base/check.h"
#include "base/file.h"
#include "project/revision.h"

struct fixture {
    char dir[64];
    struct arena arena;
    struct cfg_problems ps;
    struct db *db;
    struct blob_store *blob;
};

static void put(struct fixture *f, const char *name, const char *text)
{
    struct err err = ERR_INIT;
    char path[256], folder[256];
    (void)snprintf(path, sizeof(path), "%s/p/%s", f->dir, name);
    (void)snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = '\0';
    ASSERT_OK(dir_make(folder, 0755, &err), &err);
    ASSERT_OK(file_write(path, str_c(text), 0644, &err), &err);
}

static int set_up(void **state)
{
    static struct fixture f;
    struct err err = ERR_INIT;
    char text[128];
    (void)snprintf(f.dir, sizeof(f.dir), "/tmp/pawl-project-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    arena_init(&f.arena, 32 << 20);
    cfg_problems_init(&f.ps, &f.arena);
    (void)snprintf(text, sizeof(text), "sqlite:%s/pawl.db", f.dir);
    ASSERT_OK(
        db_open(
            &(struct db_options){.url = text, .n_readers = 1, .busy_ms = 1000, .may_migrate = true},
            &f.db, &err),
        &err);
    (void)snprintf(text, sizeof(text), "%s/store", f.dir);
    ASSERT_OK(blob_open(text, &f.blob, &err), &err);
    put(&f, "pawl.yaml",
        "pawl: 1\nproject: flights\ntask: binary\ninclude: [../shared/base.yaml]\n"
        "owners: { ml: ml@x, business: biz@x, data: data@x, on_call: { first: pager }, monitor: "
        "watch@x }\n"
        "runbook: runbooks/all.md\n"
        "sources: { flights: { path: data/*.csv, owner: feed@x } }\n"
        "train: { run: python src/train.py --fast }\n"
        "evaluate: { cases: cases.yaml }\nendpoint: { name: delay, runbook: runbooks/serve.md }\n"
        "steps: { report: { run: [python, report.py] } }\n");
    put(&f, "../shared/base.yaml",
        "sources: { airports: { path: a.csv } }\nowners: { audit: eve@x }\n");
    put(&f, "src/train.py", "import helper\n");
    put(&f, "src/helper.py", "\n");
    put(&f, "src/notes.txt", "\n");
    put(&f, "report.py", "\n");
    put(&f, "cases.yaml", "cases: []\n");
    put(&f, "runbooks/all.md", "\n");
    put(&f, "runbooks/serve.md", "\n");
    put(&f, "data/x.csv", "a\n1\n");
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    db_close(f->db);
    blob_close(f->blob);
    arena_fini(&f->arena);
    (void)!dir_remove(f->dir, &err);
    return 0;
}

static void load(struct fixture *f, struct project_file *file, struct project_spec *spec)
{
    struct err err = ERR_INIT;
    const char *dir = path_join(&f->arena, f->dir, "p");
    ASSERT_OK(project_read(dir, &f->arena, file, &f->ps, &err), &err);
    project_spec_decode(file->root, &f->arena, spec, &f->ps);
}

static void includes_are_merged_and_owners_fall_back(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct project_file file;
    struct project_spec p;
    load(f, &file, &p);
    ASSERT_OK(cfg_problems_err(&f->ps, &err), &err);
    assert_non_null(cfg_get(cfg_get(file.root, "sources"), "airports"));
    assert_non_null(cfg_get(cfg_get(file.root, "sources"), "flights"));
    assert_int_equal(file.n_files, 2);
    assert_string_equal(project_owner(&p, file.root, "source:flights", OWNER_ML), "feed@x");
    assert_string_equal(project_owner(&p, file.root, "source:airports", OWNER_ML), "data@x");
    assert_string_equal(project_owner(&p, file.root, "validate", OWNER_ML), "data@x");
    assert_string_equal(project_owner(&p, file.root, "monitor", OWNER_ML), "watch@x");
    assert_string_equal(project_owner(&p, file.root, "serve", OWNER_ML), "ml@x");
    assert_string_equal(project_owner(&p, file.root, "serve", OWNER_ON_CALL), "pager");
    assert_string_equal(project_owner(&p, file.root, "train", OWNER_BUSINESS), "biz@x");
    assert_string_equal(project_runbook(&p, file.root, "serve"), "runbooks/serve.md");
    assert_string_equal(project_runbook(&p, file.root, "source:flights"), "runbooks/all.md");
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    struct fixture *f = *state;
    struct project_file file;
    struct project_spec p;
    put(f, "pawl.yaml",
        "pawl: 2\nproject: \"a b\"\ntsk: binary\ninclude: [../shared/base.yaml, nowhere.yaml]\n"
        "sources: { airports: { path: b.csv } }\ntrain: { engine: xgboost }\n");
    load(f, &file, &p);
    /* format 2, name, unknown key with suggestion, absent include, declared twice, task missing */
    assert_int_equal(f->ps.n_errors, 6);
    bool has_suggestion = false;
    for (size_t i = 0; i < f->ps.n; i++)
        has_suggestion |= f->ps.p[i].line == 3 && strstr(f->ps.p[i].text, "task") != NULL;
    assert_true(has_suggestion);
}

static bool has_path(const char *const *paths, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(paths[i], name) == 0)
            return true;
    return false;
}

static void a_revision_holds_what_the_project_names(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct project_file file;
    struct project_spec p;
    const char **paths = NULL;
    size_t n = 0;
    static const char *const WANTED[] = {"pawl.yaml",       "../shared/base.yaml", "src/train.py",
                                         "src/helper.py",   "report.py",           "cases.yaml",
                                         "runbooks/all.md", "runbooks/serve.md"};
    load(f, &file, &p);
    ASSERT_OK(revision_files(&file, &p, &f->arena, &paths, &n, &f->ps, &err), &err);
    for (size_t i = 0; i < ARRAY_LEN(WANTED); i++)
        if (!has_path(paths, n, WANTED[i]))
            fail_msg("%s is missing", WANTED[i]);
    assert_int_equal(n, ARRAY_LEN(WANTED)); /* no data, no notes */

    struct revision_new meta = {.dir = file.dir,
                                .paths = paths,
                                .n_paths = n,
                                .project = "flights",
                                .author = "local:eve",
                                .at_us = 5};
    struct revision first, again, third, got;
    ASSERT_OK(revision_store(f->db, f->blob, &meta, &f->arena, &first, &err), &err);
    meta.at_us = 6;
    ASSERT_OK(revision_store(f->db, f->blob, &meta, &f->arena, &again, &err), &err);
    assert_string_equal(first.digest, again.digest);
    assert_int_equal(again.number, 1);
    put(f, "src/helper.py", "x = 1\n");
    ASSERT_OK(revision_store(f->db, f->blob, &meta, &f->arena, &third, &err), &err);
    assert_string_not_equal(first.digest, third.digest);
    assert_int_equal(third.number, 2);
    ASSERT_OK(revision_get(f->db, "flights", NULL, &f->arena, &got, &err), &err);
    assert_string_equal(got.digest, third.digest);
    char prefix[9] = "";
    memcpy(prefix, first.digest, 8);
    ASSERT_OK(revision_get(f->db, "flights", prefix, &f->arena, &got, &err), &err);
    assert_string_equal(got.digest, first.digest);
    assert_int_equal(revision_get(f->db, "other", NULL, &f->arena, &got, &err), ERR_NOT_FOUND);
    assert_int_equal(revision_get(f->db, "flights", "abc", &f->arena, &got, &err), ERR_INVALID);

    /* Checked out, it is the same project, its includes from outside with it. */
    struct project_file copy;
    const char *dir = path_join(&f->arena, f->dir, "checkout");
    ASSERT_OK(revision_checkout(f->blob, first.digest, dir, &err), &err);
    ASSERT_OK(project_read(dir, &f->arena, &copy, &f->ps, &err), &err);
    assert_non_null(cfg_get(cfg_get(copy.root, "sources"), "airports"));
    assert_int_equal(f->ps.n_errors, 0);
}

static void a_project_is_found_upward(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    char *dir = NULL;
    const char *deep = path_join(&f->arena, f->dir, "p/src");
    ASSERT_OK(project_find(deep, &f->arena, &dir, &err), &err);
    assert_true(str_ends(str_c(dir), STR("/p")));
    assert_int_equal(project_find("/tmp", &f->arena, &dir, &err), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(includes_are_merged_and_owners_fall_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said_with_its_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_revision_holds_what_the_project_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_project_is_found_upward, set_up, tear_down),
    };
    return RUN_TESTS(tests);
}
