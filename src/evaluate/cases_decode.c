/* The file of known-hard cases: checked for form, kept as JSON. What a case says about a model is in cases_run.c. */
#include "evaluate/spec.h"

static const char *const CASE_KEYS[] = {"name",   "why",       "given",     "sample", "change",
                                        "expect", "invariant", "direction", "on_fail"};
static const char *const EXPECT_KEYS[] = {"score", "decision", "class", "value"};
static const char *const RANGE_KEYS[] = {"below", "above", "between"};
static const char *const DIRECTION_KEYS[] = {"score", "tolerance", "share"};
static const char *const INVARIANT_KEYS[] = {"tolerance", "share"};
static const char *const ON_FAIL[] = {"block", "warn"};
static const char *const WAYS[] = {"up", "down"};
static const char *const DECISIONS[] = {"negative", "positive"};

#define SAMPLE_MAX 10000

static void check_range(const struct cfg_node *n, const char *what, struct cfg_problems *ps)
{
    double v;
    if (!n || !cfg_is_map(n, what, ps) || !cfg_known_keys(n, RANGE_KEYS, 3, ps))
        return;
    if (n->n == 0)
        cfg_error(ps, n, "%s needs below, above or between: [a, b]", what);
    if (cfg_get(n, "below"))
        (void)cfg_f64(cfg_get(n, "below"), "below", -1e300, 1e300, &v, ps);
    if (cfg_get(n, "above"))
        (void)cfg_f64(cfg_get(n, "above"), "above", -1e300, 1e300, &v, ps);
    const struct cfg_node *between = cfg_get(n, "between");
    if (between && (between->type != CFG_LIST || between->n != 2))
        cfg_error(ps, between, "between needs two numbers: [a, b]");
}

static void check_expect(const struct cfg_node *n, struct cfg_problems *ps)
{
    int i;
    if (!cfg_is_map(n, "expect", ps) || !cfg_known_keys(n, EXPECT_KEYS, 4, ps))
        return;
    if (n->n == 0)
        cfg_error(ps, n, "expect needs score, value, decision or class");
    check_range(cfg_get(n, "score"), "score", ps);
    check_range(cfg_get(n, "value"), "value", ps);
    if (cfg_get(n, "decision"))
        (void)cfg_enum(cfg_get(n, "decision"), "decision", DECISIONS, 2, &i, ps);
}

static void check_ratios(const struct cfg_node *n, struct cfg_problems *ps)
{
    double v;
    if (cfg_get(n, "tolerance"))
        (void)cfg_f64(cfg_get(n, "tolerance"), "tolerance", 0, 1e300, &v, ps);
    if (cfg_get(n, "share"))
        (void)cfg_ratio(cfg_get(n, "share"), "share", &v, ps);
}

static void check_direction(const struct cfg_node *n, struct cfg_problems *ps)
{
    int i;
    if (!cfg_is_map(n, "direction", ps) || !cfg_known_keys(n, DIRECTION_KEYS, 3, ps))
        return;
    if (cfg_require(n, "score", ps))
        (void)cfg_enum(cfg_get(n, "score"), "score", WAYS, 2, &i, ps);
    check_ratios(n, ps);
}

static void check_given(const struct cfg_node *c, struct cfg_problems *ps)
{
    const struct cfg_node *given = cfg_get(c, "given"), *sample = cfg_get(c, "sample");
    int64_t n;
    if ((given != NULL) == (sample != NULL))
        cfg_error(
            ps, c,
            "a case needs either given: {field: value, …} or sample: N rows of the benchmark");
    if (given)
        (void)cfg_is_map(given, "given", ps);
    if (sample)
        (void)cfg_i64(sample, "sample", 1, SAMPLE_MAX, &n, ps);
}

static void check_change(const struct cfg_node *c, bool is_needed, struct cfg_problems *ps)
{
    const struct cfg_node *change = cfg_get(c, "change");
    if (is_needed && !change)
        cfg_error(ps, c,
                  "this case compares a row with a changed one: say change: {field: value} or "
                  "{field: {expr: \"…\"}}");
    if (!change || !cfg_is_map(change, "change", ps))
        return;
    for (size_t i = 0; i < change->n; i++)
        if (change->items[i]->type == CFG_LIST ||
            (change->items[i]->type == CFG_MAP &&
             (change->items[i]->n != 1 || !cfg_get(change->items[i], "expr"))))
            cfg_error(ps, change->items[i], "a change is a value or {expr: \"…\"}");
}

static bool check_case(const struct cfg_node *c, struct cfg_problems *ps)
{
    size_t before = ps->n_errors;
    struct str text;
    int i;
    if (!cfg_is_map(c, "a case", ps))
        return false;
    (void)cfg_known_keys(c, CASE_KEYS, sizeof(CASE_KEYS) / sizeof(CASE_KEYS[0]), ps);
    if (cfg_require(c, "name", ps))
        (void)cfg_str(cfg_get(c, "name"), "name", &text, ps);
    const struct cfg_node *expect = cfg_get(c, "expect"), *invariant = cfg_get(c, "invariant"),
                          *direction = cfg_get(c, "direction");
    if ((expect != NULL) + (invariant != NULL) + (direction != NULL) != 1)
        cfg_error(ps, c, "a case has exactly one of expect, invariant, direction");
    check_given(c, ps);
    check_change(c, expect == NULL, ps);
    if (expect)
        check_expect(expect, ps);
    if (invariant && cfg_is_map(invariant, "invariant", ps) &&
        cfg_known_keys(invariant, INVARIANT_KEYS, 2, ps))
        check_ratios(invariant, ps);
    if (direction)
        check_direction(direction, ps);
    if (cfg_get(c, "on_fail"))
        (void)cfg_enum(cfg_get(c, "on_fail"), "on_fail", ON_FAIL, 2, &i, ps);
    return ps->n_errors == before;
}

/* Shares written as "95%" become numbers. */
static void set_share(struct json *o, const struct cfg_node *n, struct arena *a,
                      struct cfg_problems *ps)
{
    double v;
    if (o && n && cfg_get(n, "share") && cfg_ratio(cfg_get(n, "share"), "share", &v, ps))
        json_set(a, o, "share", json_num(a, v));
}

static struct json *case_json(const struct cfg_node *c, struct arena *a, struct cfg_problems *ps)
{
    static const char *const KINDS[] = {"invariant", "direction"};
    struct json *o = cfg_json(c, a);
    for (size_t k = 0; k < 2; k++) {
        struct json *kind = (struct json *)(uintptr_t)json_get(o, KINDS[k]);
        set_share(kind, cfg_get(c, KINDS[k]), a, ps);
    }
    json_set(a, o, "line", json_int(a, c->line));
    return o;
}

struct json *evaluate_cases_decode(const struct cfg_node *file, struct arena *a,
                                   struct cfg_problems *ps)
{
    struct json *arr = json_arr(a);
    const struct cfg_node *list =
        file && file->type == CFG_MAP ? cfg_require(file, "cases", ps) : file;
    if (!list || !cfg_is_list(list, "cases", ps))
        return arr;
    for (size_t i = 0; i < list->n; i++)
        if (check_case(list->items[i], ps))
            json_add(a, arr, case_json(list->items[i], a, ps));
    return arr;
}
