/* The scheduler with steps of a test: which run again, in which order, what a failure stops. The cache is a list in
 * memory; nothing else is faked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "pipeline/graph.h"
#include "test.h"

#define CACHE_MAX 64

struct world {
    struct mutex lock;
    char keys[CACHE_MAX][65], outs[CACHE_MAX][65];
    size_t n_cached;
    char ran[512];              /* names in order */
    int params[26];             /* step "a" has params[0], … */
    const char *fails, *blocks; /* names */
    int n_running, max_running;
    int64_t clock;
    bool is_same_out; /* every output is the same, whatever went in */
};

static enum err_code parts(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct world *w = ctx;
    struct arena *a = &s->arena;
    struct json *in = json_obj(a), *d = json_obj(a);
    (void)err;
    for (size_t i = 0; i < s->n_needs; i++) {
        if (!s->is_order[i])
            (void)json_set(a, in, s->needs[i]->name,
                           json_str(a, json_get_str(s->needs[i]->out, "digest")));
    }
    (void)json_set(a, d, "parameters", json_int(a, w->params[s->name[0] - 'a']));
    *ret = json_set(a, d, "inputs", in);
    return ERR_OK;
}

static enum err_code run(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct world *w = ctx;
    mutex_lock(&w->lock);
    (void)snprintf(w->ran + strlen(w->ran), sizeof w->ran - strlen(w->ran), "%s ", s->name);
    w->n_running++;
    if (w->n_running > w->max_running)
        w->max_running = w->n_running;
    mutex_unlock(&w->lock);
    const char *digest = w->is_same_out ? "same" : s->key;
    *ret = json_set(&s->arena, json_obj(&s->arena), "digest", json_cstr(&s->arena, digest));
    mutex_lock(&w->lock);
    w->n_running--;
    mutex_unlock(&w->lock);
    if (w->fails != NULL && strcmp(w->fails, s->name) == 0)
        return err_set(err, ERR_CHILD, "it broke");
    if (w->blocks != NULL && strcmp(w->blocks, s->name) == 0)
        return err_set(err, ERR_NO, "rows 1, 2 are wrong");
    return ERR_OK;
}

static const struct step_ops OPS = {"test", parts, run, NULL};

static enum err_code find(void *ctx, struct step *s, struct err *err)
{
    struct world *w = ctx;
    (void)err;
    mutex_lock(&w->lock);
    for (size_t i = 0; i < w->n_cached; i++) {
        if (strcmp(w->keys[i], s->key) == 0)
            s->out = json_set(&s->arena, json_obj(&s->arena), "digest",
                              json_cstr(&s->arena, w->outs[i]));
    }
    mutex_unlock(&w->lock);
    return ERR_OK;
}

static enum err_code begin(void *ctx, struct step *s, struct err *err)
{
    (void)ctx;
    (void)s;
    (void)err;
    return ERR_OK;
}

static enum err_code finish(void *ctx, struct step *s, struct err *err)
{
    struct world *w = ctx;
    (void)err;
    if (s->state != STEP_DONE)
        return ERR_OK;
    mutex_lock(&w->lock);
    assert_true(w->n_cached < CACHE_MAX);
    (void)snprintf(w->keys[w->n_cached], 65, "%s", s->key);
    (void)snprintf(w->outs[w->n_cached++], 65, "%s", json_get_c(s->out, "digest"));
    mutex_unlock(&w->lock);
    return ERR_OK;
}

static int64_t now(void *ctx)
{
    return ++((struct world *)ctx)->clock;
}

/* a -> b -> d, a -> c -> d, d -> e (order only) */
static void diamond(struct graph *g, struct arena *a)
{
    struct step *s[5];
    static const char *const NAMES[] = {"a", "b", "c", "d", "e"};
    graph_init(g, a);
    for (size_t i = 0; i < 5; i++)
        s[i] = graph_add(g, NAMES[i], &OPS, NULL);
    assert_true(graph_need(g, s[1], s[0]) && graph_need(g, s[2], s[0]) &&
                graph_need(g, s[3], s[1]) && graph_need(g, s[3], s[2]) &&
                graph_after(g, s[4], s[3]));
}

static enum err_code go(struct world *w, struct graph *g, int jobs, struct err *err)
{
    const struct graph_host host = {
        .ctx = w, .find = find, .begin = begin, .finish = finish, .now_us = now};
    w->ran[0] = '\0';
    return graph_run(g, &host, jobs, err);
}

static void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    mutex_init(&w->lock, "test.world", 50);
    for (int i = 0; i < 26; i++)
        w->params[i] =
            10 * i; /* equal parts would be one key: a result is found by content, not by name */
}

/* One run of a new diamond; what ran is in w->ran. */
static enum err_code once(struct world *w, int jobs, struct err *err)
{
    struct arena a;
    struct graph g;
    arena_init(&a, 1 << 24);
    diamond(&g, &a);
    enum err_code code = graph_check(&g, err);
    if (code == ERR_OK)
        code = graph_ask(&g, NULL, 0, err);
    if (code == ERR_OK)
        code = go(w, &g, jobs, err);
    graph_fini(&g);
    arena_fini(&a);
    return code;
}

static void runs_only_what_changed(void **state)
{
    struct world w;
    struct err err = ERR_INIT;
    (void)state;
    world_init(&w);
    ASSERT_OK(once(&w, 1, &err), &err);
    assert_string_equal(w.ran, "a b c d e ");
    ASSERT_OK(once(&w, 1, &err), &err);
    assert_string_equal(w.ran, "");
    w.params[2] = 1; /* c */
    ASSERT_OK(once(&w, 1, &err), &err);
    assert_string_equal(w.ran, "c d ");
    w.params[2] = 20; /* back: found again */
    ASSERT_OK(once(&w, 1, &err), &err);
    assert_string_equal(w.ran, "");
}

static void same_output_stops_the_wave(void **state)
{
    struct world w;
    struct err err = ERR_INIT;
    (void)state;
    world_init(&w);
    w.is_same_out = true;
    ASSERT_OK(once(&w, 1, &err), &err);
    w.params[0] = 7;
    ASSERT_OK(once(&w, 1, &err), &err);
    assert_string_equal(w.ran, "a ");
}

static void failure_stops_what_needs_it(void **state)
{
    struct world w;
    struct err err = ERR_INIT;
    (void)state;
    world_init(&w);
    w.fails = "b";
    assert_int_equal(once(&w, 1, &err), ERR_CHILD);
    assert_string_equal(err.msg, "step b: it broke");
    assert_string_equal(w.ran, "a b c ");
    w.fails = NULL;
    ASSERT_OK(once(&w, 1, &err), &err);
    assert_string_equal(w.ran, "b d e "); /* it goes on where it was */
}

static void blocked_check_is_a_no(void **state)
{
    struct world w;
    struct err err = ERR_INIT;
    (void)state;
    world_init(&w);
    w.blocks = "d";
    assert_int_equal(once(&w, 2, &err), ERR_NO);
    assert_string_equal(err.msg, "step d: rows 1, 2 are wrong");
    assert_null(strstr(w.ran, "e "));
}

static void names_circles(void **state)
{
    struct arena a;
    struct graph g;
    struct err err = ERR_INIT;
    (void)state;
    arena_init(&a, 1 << 24);
    diamond(&g, &a);
    assert_true(graph_need(&g, graph_find(&g, "b"), graph_find(&g, "e")));
    assert_int_equal(graph_check(&g, &err), ERR_CONFIG);
    assert_non_null(strstr(err.msg, " -> "));
    assert_non_null(strstr(err.msg, "in a circle"));
    graph_fini(&g);
    arena_fini(&a);
}

static void asks_for_parts(void **state)
{
    static const char *const ASK[] = {"c"}, *const WRONG[] = {"cc"};
    struct arena a;
    struct graph g;
    struct world w;
    struct err err = ERR_INIT;
    (void)state;
    arena_init(&a, 1 << 24);
    world_init(&w);
    diamond(&g, &a);
    ASSERT_OK(graph_check(&g, &err), &err);
    assert_int_equal(graph_ask(&g, WRONG, 1, &err), ERR_NOT_FOUND);
    ASSERT_OK(graph_ask(&g, ASK, 1, &err), &err);
    ASSERT_OK(go(&w, &g, 1, &err), &err);
    assert_string_equal(w.ran, "a c ");
    assert_int_equal(graph_find(&g, "e")->state, STEP_UNASKED);
    graph_fini(&g);
    arena_fini(&a);
}

/* A thousand steps in a chain and as many independent ones, on eight threads. */
static void runs_many_in_parallel(void **state)
{
    enum { N = 2000 };
    struct arena a;
    struct graph g;
    struct err err = ERR_INIT;
    struct step *before = NULL;
    struct world *w = calloc(1, sizeof *w);
    (void)state;
    arena_init(&a, 1 << 28);
    mutex_init(&w->lock, "test.world", 50);
    graph_init(&g, &a);
    for (int i = 0; i < N; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%c%d", i % 2 == 0 ? 'x' : 'y', i);
        struct step *s = graph_add(&g, name, &OPS, NULL);
        if (i % 2 == 0 && before != NULL)
            assert_true(graph_need(&g, s, before));
        if (i % 2 == 0)
            before = s;
    }
    ASSERT_OK(graph_check(&g, &err), &err);
    ASSERT_OK(graph_ask(&g, NULL, 0, &err), &err);
    const struct graph_host host = {
        .ctx = w, .find = begin, .begin = begin, .finish = begin, .now_us = now};
    ASSERT_OK(graph_run(&g, &host, 8, &err), &err);
    for (size_t i = 0; i < g.n; i++)
        assert_int_equal(g.steps[i]->state, STEP_DONE);
    graph_fini(&g);
    arena_fini(&a);
    free(w);
}

/* Keys name results across versions of the program: these may change only together with STEP_FORMAT. */
static void keys_are_stable(void **state)
{
    struct arena a;
    struct err err = ERR_INIT;
    struct json *parts_doc = NULL;
    char key[65];
    (void)state;
    arena_init(&a, 1 << 20);
    ASSERT_OK(
        json_read(
            STR("{\"inputs\":{\"b\":\"2\",\"a\":\"1\"},\"definition\":{\"eta\":0.1},\"seed\":7}"),
            &a, &parts_doc, &err),
        &err);
    ASSERT_OK(step_key("train", parts_doc, key, &err), &err);
    assert_string_equal(key, "cd945e8a59e059fa993d8dd0297bbb1d416e3e855ea38743d720b13f36761636");
    ASSERT_OK(step_key("view", parts_doc, key, &err), &err);
    assert_string_equal(key, "95da2077c4292c2f83b0c4eae91de5be5846e29f64710d84ea52bc629c03b61d");
    arena_fini(&a);
}

static void explains_what_changed(void **state)
{
    struct arena a;
    struct err err = ERR_INIT;
    struct json *old = NULL, *new = NULL;
    (void)state;
    arena_init(&a, 1 << 20);
    ASSERT_OK(json_read(STR("{\"definition\":{\"sql\":\"SELECT 1\",\"list\":[1,2]},\"seed\":7}"),
                        &a, &old, &err),
              &err);
    ASSERT_OK(
        json_read(
            STR("{\"definition\":{\"sql\":\"SELECT 2\",\"list\":[1,3]},\"inputs\":{\"x\":\"y\"}}"),
            &a, &new, &err),
        &err);
    struct json *d = parts_diff(old, new, &a);
    assert_int_equal(json_len(d), 4);
    assert_string_equal(json_get_c(json_at(d, 0), "what"), "definition.sql");
    assert_string_equal(json_get_c(json_at(d, 0), "from"), "SELECT 1");
    assert_string_equal(json_get_c(json_at(d, 0), "to"), "SELECT 2");
    assert_string_equal(json_get_c(json_at(d, 1), "what"), "definition.list[1]");
    assert_string_equal(json_get_c(json_at(d, 2), "what"), "seed");
    assert_null(json_get_c(json_at(d, 2), "to"));
    assert_string_equal(json_get_c(json_at(d, 3), "what"), "inputs");
    assert_int_equal(json_len(parts_diff(old, old, &a)), 0);
    assert_string_equal(json_get_c(json_at(parts_diff(NULL, new, &a), 0), "what"), "first time");
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_only_what_changed),
        cmocka_unit_test(same_output_stops_the_wave),
        cmocka_unit_test(failure_stops_what_needs_it),
        cmocka_unit_test(blocked_check_is_a_no),
        cmocka_unit_test(names_circles),
        cmocka_unit_test(asks_for_parts),
        cmocka_unit_test(runs_many_in_parallel),
        cmocka_unit_test(keys_are_stable),
        cmocka_unit_test(explains_what_changed),
    };
    return RUN_TESTS(tests);
}
