#include "test.h"

#include <stdio.h>

#include "fixture/home.h"
#include "registry/registry.h"

struct fixture {
    struct home home;
    struct registry *r;
};
#define BOTH_FIXTURE struct fixture

static void fixture_open(struct fixture *f)
{
    struct err err = ERR_INIT;
    ASSERT_OK(registry_open(f->home.db, NULL, &f->home.clock, &f->r, &err), &err);
}

static void fixture_close(struct fixture *f)
{
    registry_close(f->r);
}

#include "fixture/both.h"

#define TREE_A "aaaa1111"
#define TREE_B "bbbb2222"

static int64_t add(struct fixture *f, const char *name, const char *tree)
{
    struct err err = ERR_INIT;
    struct version_made made;
    struct lineage from[] = {{LINEAGE_DATA, "flights", "d1"}, {LINEAGE_VIEW, "airport_hour", "v1"}};
    struct tag tag = {"kind", "test"};
    struct model_version v = {.name = name,
                              .tree = tree,
                              .digest = tree,
                              .user = "eve",
                              .run_id = "run1",
                              .bytes = 10,
                              .tags = &tag,
                              .n_tags = 1,
                              .lineage = from,
                              .n_lineage = 2};
    ASSERT_OK(version_create(f->r, &v, &made, &err), &err);
    f->home.at_us += US_PER_S;
    return made.version;
}

static struct model_version get(struct fixture *f, const char *ref)
{
    struct err err = ERR_INIT;
    struct model_version v;
    ASSERT_OK(version_find(f->r, ref, &f->home.arena, &v, &err), &err);
    return v;
}

static void versions_count_up_and_the_same_tree_is_one(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    assert_int_equal(add(f, "m", TREE_A), 1);
    assert_int_equal(add(f, "m", TREE_A), 1);
    assert_int_equal(add(f, "m", TREE_B), 2);
    ASSERT_OK(version_delete(f->r, "m", 2, &err), &err);
    assert_int_equal(add(f, "m", TREE_B), 3);
    struct model_version v = get(f, "models:/m/3");
    assert_string_equal(v.digest, TREE_B);
    assert_int_equal(v.n_lineage, 2);
    assert_string_equal(v.lineage[0].name, "flights");
    assert_int_equal(v.lineage[1].kind, LINEAGE_VIEW);
    assert_string_equal(v.tags[0].value, "test");
    assert_int_equal(version_find(f->r, "m/2", &f->home.arena, &v, &err), ERR_NOT_FOUND);
    assert_string_equal(err.msg, "Model Version (name=m, version=2) not found");
    assert_int_equal(version_find(f->r, "m/x", &f->home.arena, &v, &err), ERR_INVALID);
    assert_int_equal(version_find(f->r, "n", &f->home.arena, &v, &err), ERR_NOT_FOUND);
    ASSERT_OK(version_by_digest(f->r, TREE_B, &f->home.arena, &v, &err), &err);
    assert_int_equal(v.version, 3);
}

static void names_are_checked_and_taken_once(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    struct model m;
    ASSERT_OK(model_create(f->r, "m", "about it", NULL, 0, &err), &err);
    assert_int_equal(model_create(f->r, "m", NULL, NULL, 0, &err), ERR_EXISTS);
    assert_int_equal(model_create(f->r, "a/b", NULL, NULL, 0, &err), ERR_INVALID);
    assert_int_equal(model_create(f->r, "", NULL, NULL, 0, &err), ERR_INVALID);
    add(f, "m", TREE_A);
    ASSERT_OK(model_tag_set(f->r, "m", "team", "ml", &err), &err);
    ASSERT_OK(alias_set(f->r, "m", "champion", 1, &err), &err);
    ASSERT_OK(model_rename(f->r, "m", "n", &err), &err);
    ASSERT_OK(model_get(f->r, "n", &f->home.arena, &m, &err), &err);
    assert_string_equal(m.description, "about it");
    assert_int_equal(m.n_tags, 1);
    assert_int_equal(m.n_aliases, 1);
    assert_int_equal(get(f, "n@champion").version, 1);
    assert_int_equal(model_get(f->r, "m", &f->home.arena, &m, &err), ERR_NOT_FOUND);
    ASSERT_OK(model_delete(f->r, "n", &err), &err);
    assert_int_equal(model_delete(f->r, "n", &err), ERR_NOT_FOUND);
}

static void aliases_move_and_some_are_not_for_people(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    struct model_version v;
    add(f, "m", TREE_A);
    add(f, "m", TREE_B);
    ASSERT_OK(alias_set(f->r, "m", "champion", 1, &err), &err);
    ASSERT_OK(alias_set(f->r, "m", "champion", 2, &err), &err);
    assert_int_equal(get(f, "m@champion").version, 2);
    assert_string_equal(get(f, "m@champion").aliases[0], "champion");
    assert_int_equal(alias_set(f->r, "m", "champion", 9, &err), ERR_NOT_FOUND);
    const char *reserved[] = {"latest", "Latest", "v3", "V12", "", "a b"};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(alias_set(f->r, "m", reserved[i], 1, &err), ERR_INVALID);
    ASSERT_OK(alias_set(f->r, "m", "very", 1, &err), &err);
    assert_int_equal(alias_set(f->r, "m", "production", 1, &err), ERR_REFUSED);
    assert_int_equal(alias_delete(f->r, "m", "production", &err), ERR_REFUSED);
    ASSERT_OK(alias_delete(f->r, "m", "champion", &err), &err);
    assert_int_equal(version_find(f->r, "m@champion", &f->home.arena, &v, &err), ERR_NOT_FOUND);
    assert_int_equal(get(f, "m@latest").version, 2);
}

struct promote {
    int64_t version;
};

static enum err_code promote_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct promote *p = arg;
    return registry_production_set(tx, "m", p->version, 5, err);
}

static void production_follows_the_rollout(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    struct promote p = {1};
    add(f, "m", TREE_A);
    add(f, "m", TREE_B);
    ASSERT_OK(db_write(f->home.db, promote_fn, &p, &err), &err);
    assert_int_equal(get(f, "m@production").version, 1);
    assert_int_equal(get(f, "m/1").stage, STAGE_PRODUCTION);
    p.version = 2;
    ASSERT_OK(db_write(f->home.db, promote_fn, &p, &err), &err);
    assert_int_equal(get(f, "m@production").version, 2);
    assert_int_equal(get(f, "m/1").stage, STAGE_ARCHIVED);
    assert_int_equal(get(f, "m/Production").version, 2);
    assert_int_equal(version_delete(f->r, "m", 2, &err), ERR_REFUSED);
    assert_int_equal(model_delete(f->r, "m", &err), ERR_REFUSED);
    p.version = 9;
    assert_int_equal(db_write(f->home.db, promote_fn, &p, &err), ERR_NOT_FOUND);
    p.version = 0;
    ASSERT_OK(db_write(f->home.db, promote_fn, &p, &err), &err);
    struct model_version v;
    assert_int_equal(version_find(f->r, "m@production", &f->home.arena, &v, &err), ERR_NOT_FOUND);
}

static void stages_archive_others_when_told(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    add(f, "m", TREE_A);
    add(f, "m", TREE_B);
    ASSERT_OK(version_stage_set(f->r, "m", 1, STAGE_STAGING, STAGE_MOVE_ONE, &err), &err);
    ASSERT_OK(version_stage_set(f->r, "m", 2, STAGE_STAGING, STAGE_MOVE_ONE, &err), &err);
    assert_int_equal(get(f, "m/1").stage, STAGE_STAGING);
    ASSERT_OK(version_stage_set(f->r, "m", 2, STAGE_STAGING, STAGE_MOVE_ARCHIVE_OTHERS, &err),
              &err);
    assert_int_equal(get(f, "m/1").stage, STAGE_ARCHIVED);
    assert_int_equal(version_stage_set(f->r, "m", 2, STAGE_NONE, STAGE_MOVE_ARCHIVE_OTHERS, &err),
                     ERR_INVALID);
    enum model_stage s;
    assert_true(model_stage_from_name(STR("staging"), &s) && s == STAGE_STAGING);
    assert_false(model_stage_from_name(STR("stagin"), &s));
}

static void lineage_leads_from_data_to_models(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    struct model_version *list = NULL;
    size_t n = 0;
    add(f, "m", TREE_A);
    add(f, "other", TREE_A);
    ASSERT_OK(lineage_users(f->r, LINEAGE_DATA, "d1", &f->home.arena, &list, &n, &err), &err);
    assert_int_equal(n, 2);
    assert_string_equal(list[1].name, "other");
    ASSERT_OK(lineage_users(f->r, LINEAGE_DATA, "v1", &f->home.arena, &list, &n, &err), &err);
    assert_int_equal(n, 0);
}

static void searches_find_models_and_versions(void **state)
{
    struct fixture *f = both_fixture(state);
    struct err err = ERR_INIT;
    struct model *models = NULL;
    struct model_version *versions = NULL;
    size_t n = 0;
    char *token = NULL;
    add(f, "alpha", TREE_A);
    add(f, "alpha", TREE_B);
    add(f, "beta", TREE_A);
    ASSERT_OK(model_tag_set(f->r, "beta", "team", "ml", &err), &err);
    struct search_query q = {.filter = "tags.team = 'ml'", .limit = 10};
    ASSERT_OK(model_search(f->r, &q, &f->home.arena, &models, &n, &token, &err), &err);
    assert_int_equal(n, 1);
    assert_string_equal(models[0].name, "beta");
    q.filter = "name = 'alpha' AND version_number > 1";
    ASSERT_OK(version_search(f->r, &q, &f->home.arena, &versions, &n, &token, &err), &err);
    assert_int_equal(n, 1);
    assert_int_equal(versions[0].version, 2);
    q.filter = "run_id IN ('run1')";
    q.limit = 2;
    ASSERT_OK(version_search(f->r, &q, &f->home.arena, &versions, &n, &token, &err), &err);
    assert_int_equal(n, 2);
    assert_string_equal(versions[0].name, "beta");
    assert_string_equal(token, "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(versions_count_up_and_the_same_tree_is_one),
        ON_BOTH(names_are_checked_and_taken_once),
        ON_BOTH(aliases_move_and_some_are_not_for_people),
        ON_BOTH(production_follows_the_rollout),
        ON_BOTH(stages_archive_others_when_told),
        ON_BOTH(lineage_leads_from_data_to_models),
        ON_BOTH(searches_find_models_and_versions),
    };
    return RUN_ON_BOTH(tests);
}
