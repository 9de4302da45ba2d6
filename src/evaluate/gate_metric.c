/* Metric rules: bounds, comparisons, slices, differences across groups. Everything is read from the report of
 * evaluate.run: point values under `models`, intervals under `comparisons`. */
#include <math.h>
#include <string.h>

#include "evaluate/gate_int.h"
#include "stats/special.h"

/* One interval of the report, turned so that larger is better. */
struct reading {
    struct interval interval;
    const struct json *entry;
    struct margin_verdict judged;
};

static double confidence_of(const struct gate_rule *r)
{
    return r->confidence > 0 ? r->confidence : GATE_CONFIDENCE;
}

static void read_interval(const struct json *e, struct interval *i)
{
    *i = (struct interval){.low = json_get_f64(e, "low", -INFINITY),
                           .high = json_get_f64(e, "high", INFINITY)};
    i->estimate = json_get_f64(e, "estimate", NAN);
    i->se = json_get_f64(e, "se", INFINITY);
    i->n_blocks = (size_t)json_get_int(e, "blocks", 0);
    i->n_rows = (size_t)json_get_int(e, "rows", 0);
    struct str method = json_get_str(e, "method");
    i->method = str_is(method, "jackknife")
                    ? INTERVAL_JACKKNIFE
                    : (str_is(method, "block_bootstrap") ? INTERVAL_BOOTSTRAP : INTERVAL_NONE);
}

/* Does this entry of `comparisons` belong to the rule? against NULL: of the candidate alone. */
static bool is_entry_of(const struct json *e, const struct gate_rule *r, const char *against)
{
    struct str slice = json_get_str(e, "slice"), versus = json_get_str(e, "against");
    if (!str_is(json_get_str(e, "metric"), METRIC_NAMES[r->metric]) || !str_eq(slice, r->slice))
        return false;
    if (against ? !str_is(versus, against) : versus.n > 0)
        return false;
    return fabs(json_get_f64(e, "confidence", 0) - confidence_of(r)) < 1e-9;
}

/* Turns a bound into "goodness must exceed". */
static void orient(const struct gate_rule *r, struct interval *i, double *bound)
{
    *bound = r->bound;
    if (!r->is_at_most)
        return;
    double low = i->low, high = i->high;
    *bound = -r->bound;
    if (metric_info(r->metric)->better == BETTER_ZERO) { /* the absolute value is bounded */
        bool straddles = low < 0 && high > 0;
        i->low = -fmax(fabs(low), fabs(high));
        i->high = straddles ? 0 : -fmin(fabs(low), fabs(high));
        i->estimate = -fabs(i->estimate);
        return;
    }
    i->low = -high;
    i->high = -low;
    i->estimate = -i->estimate;
}

static const struct json *benchmark_metric(const struct gate_case *c, const char *model)
{
    const struct json *report = c->docs->report;
    const struct json *m = json_get(json_get(report, "models"), model);
    const char *split = json_get_c(json_get(report, "benchmark"), "split");
    return split ? json_get(json_get(json_get(json_get(m, "splits"), split), "metrics"),
                            METRIC_NAMES[c->rule->metric])
                 : NULL;
}

static void set_evidence(struct gate_case *c, const struct json *entry)
{
    static const char *const KEYS[] = {"candidate",  "incumbent", "low", "high",   "se",     "rows",
                                       "confidence", "method",    "by",  "blocks", "against"};
    for (size_t k = 0; k < sizeof(KEYS) / sizeof(KEYS[0]); k++) {
        const struct json *v = json_get(entry, KEYS[k]);
        if (v)
            json_set(c->arena, c->doc, KEYS[k], json_copy(c->arena, v));
    }
    const struct json *d = json_get(entry, "estimate");
    if (d && json_get(entry, "against"))
        json_set(c->arena, c->doc, "difference", json_copy(c->arena, d));
}

static void set_rows_needed(struct gate_case *c, double rows)
{
    if (rows > 0)
        json_set(c->arena, c->doc, "rows_needed", json_num(c->arena, rows));
}

static const struct json *find_entry(const struct gate_case *c, const char *against)
{
    const struct json *list = json_get(c->docs->report, "comparisons");
    for (size_t i = 0; i < json_len(list); i++)
        if (is_entry_of(json_at(list, i), c->rule, against))
            return json_at(list, i);
    return NULL;
}

/* ---- bound on the whole benchmark ---- */

static void judge_estimate(struct gate_case *c)
{
    const struct json *m = benchmark_metric(c, "candidate");
    double v = json_get_f64(m, "value", NAN);
    struct interval i = {.estimate = v, .low = v, .high = v};
    double bound;
    json_set(c->arena, c->doc, "reads", json_cstr(c->arena, "estimate"));
    if (isnan(v)) {
        gate_say(c, VERDICT_OPEN, "the report has no %s of the candidate on the benchmark",
                 METRIC_NAMES[c->rule->metric]);
        return;
    }
    json_set(c->arena, c->doc, "candidate", json_num(c->arena, v));
    orient(c->rule, &i, &bound);
    bool is_met = i.estimate >= bound;
    gate_say(c, is_met ? VERDICT_PASS : VERDICT_FAIL,
             "%s is %.5g, the rule wants at %s %.5g (the estimate is read)",
             METRIC_NAMES[c->rule->metric], v, c->rule->is_at_most ? "most" : "least",
             c->rule->bound);
}

static void judge_bound(struct gate_case *c)
{
    if (!(c->rule->confidence > 0)) {
        judge_estimate(c);
        return;
    }
    const struct json *e = find_entry(c, NULL);
    struct interval i;
    struct margin_verdict v;
    double bound;
    json_set(c->arena, c->doc, "reads",
             json_cstr(c->arena, c->rule->is_at_most ? "upper bound" : "lower bound"));
    if (!e) {
        gate_say(c, VERDICT_OPEN, "the report has no interval of %s at %.4g",
                 METRIC_NAMES[c->rule->metric], c->rule->confidence);
        return;
    }
    read_interval(e, &i);
    set_evidence(c, e);
    orient(c->rule, &i, &bound);
    margin_judge(&i, bound, &v);
    set_rows_needed(c, v.rows_needed);
    gate_say(c, v.verdict,
             "%s is %.5g, between %.5g and %.5g at %.4g; the rule wants the %s bound at %s %.5g",
             METRIC_NAMES[c->rule->metric], json_get_f64(e, "candidate", NAN),
             json_get_f64(e, "low", NAN), json_get_f64(e, "high", NAN), c->rule->confidence,
             c->rule->is_at_most ? "upper" : "lower", c->rule->is_at_most ? "most" : "least",
             c->rule->bound);
}

/* ---- comparisons ---- */

static enum verdict worse_of(enum verdict a, enum verdict b)
{
    if (a == VERDICT_FAIL || b == VERDICT_FAIL)
        return VERDICT_FAIL;
    return a == VERDICT_OPEN || b == VERDICT_OPEN ? VERDICT_OPEN : VERDICT_PASS;
}

static void judge_one_against(struct gate_case *c, const char *against)
{
    const struct json *e = find_entry(c, against);
    struct interval i;
    struct margin_verdict v;
    if (!e) {
        const struct json *m = json_get(json_get(c->docs->report, "models"), against);
        const char *why = json_get_c(m, "error");
        gate_say(c, VERDICT_OPEN, "%s was not compared with: %s", against,
                 why ? why : "it is not in the report");
        return;
    }
    read_interval(e, &i);
    set_evidence(c, e);
    margin_judge(&i, -c->rule->margin, &v);
    set_rows_needed(c, v.rows_needed);
    json_set(c->arena, c->doc, "smallest_margin", json_num(c->arena, margin_smallest(&i)));
    gate_say(c, v.verdict,
             "%s %.5g against %.5g of %s: difference %.4g, between %.4g and %.4g at %.4g (%s over "
             "%zu blocks by %s)",
             METRIC_NAMES[c->rule->metric], json_get_f64(e, "candidate", NAN),
             json_get_f64(e, "incumbent", NAN), against, i.estimate, i.low, i.high,
             json_get_f64(e, "confidence", NAN),
             json_get_c(e, "method") ? json_get_c(e, "method") : "?", i.n_blocks,
             json_get_c(e, "by") ? json_get_c(e, "by") : "?");
}

/* The names that this release is compared with: the first one only with the declared baseline. */
static size_t opponents(const struct gate_case *c, const char *names[GATE_AGAINST_MAX])
{
    if (!c->docs->has_incumbent) {
        names[0] = "baseline";
        return c->rule->baseline ? 1 : 0;
    }
    for (size_t i = 0; i < c->rule->n_against; i++)
        names[i] = c->rule->against[i];
    return c->rule->n_against;
}

typedef void (*judge_one)(struct gate_case *c, const char *against);

/* The part that decides is the rule's own evidence. */
static void take_part(struct gate_case *c, struct json *doc, const struct json *part)
{
    for (size_t k = 0; k < part->u.obj.n; k++)
        json_set(c->arena, doc, part->u.obj.members[k].key.p, part->u.obj.members[k].val);
}

/* Against each opponent in turn; the rule passes when all parts pass. */
static void judge_against(struct gate_case *c, judge_one one)
{
    const char *names[GATE_AGAINST_MAX];
    size_t n = opponents(c, names);
    struct json *parts = json_arr(c->arena), *doc = c->doc;
    enum verdict all = VERDICT_PASS;
    if (n == 0) {
        gate_say(c, VERDICT_PASS,
                 "this is the first release and no baseline is declared: there is nothing to "
                 "compare with");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        c->doc = json_set(c->arena, json_obj(c->arena), "against", json_cstr(c->arena, names[i]));
        one(c, names[i]);
        json_set(c->arena, c->doc, "verdict", json_cstr(c->arena, verdict_name(c->verdict)));
        if (i == 0 || worse_of(all, c->verdict) != all)
            take_part(c, doc, c->doc);
        all = worse_of(all, c->verdict);
        json_add(c->arena, parts, c->doc);
    }
    c->doc = doc;
    c->verdict = all;
    if (n > 1)
        json_set(c->arena, doc, "parts", parts);
}

/* ---- slices ---- */

#define SLICES_MAX 1024

struct slice_list {
    struct reading p[SLICES_MAX];
    size_t n, n_small;
    double bound;
};

static void add_slice(struct slice_list *l, const struct gate_case *c, const struct json *e)
{
    struct reading *r = &l->p[l->n];
    double bound = -c->rule->margin;
    if (json_get_int(e, "rows", 0) < c->rule->min_rows) {
        l->n_small++;
        return;
    }
    r->entry = e;
    read_interval(e, &r->interval);
    if (c->rule->kind != GATE_METRIC_AGAINST)
        orient(c->rule, &r->interval, &bound);
    l->bound = bound;
    margin_judge(&r->interval, bound, &r->judged);
    l->n++;
}

static void collect_slices(struct slice_list *l, const struct gate_case *c, const char *against)
{
    const struct json *list = json_get(c->docs->report, "comparisons");
    for (size_t i = 0; i < json_len(list) && l->n < SLICES_MAX; i++)
        if (is_entry_of(json_at(list, i), c->rule, against))
            add_slice(l, c, json_at(list, i));
}

/* A slice that may be below its bound: by its interval where the rule reads one, by its estimate otherwise. */
static bool is_doubtful(const struct gate_rule *r, const struct reading *s, double bound)
{
    bool reads_interval = r->confidence > 0 || r->kind == GATE_METRIC_AGAINST;
    return reads_interval ? s->judged.verdict != VERDICT_PASS : !(s->interval.estimate >= bound);
}

static struct json *slice_json(const struct gate_case *c, const struct reading *s, enum verdict v)
{
    struct json *o = json_copy(c->arena, s->entry);
    json_set(c->arena, o, "verdict", json_cstr(c->arena, verdict_name(v)));
    if (s->judged.rows_needed > 0 && v == VERDICT_OPEN)
        json_set(c->arena, o, "rows_needed", json_num(c->arena, s->judged.rows_needed));
    return o;
}

/* What became of the slices of a rule. */
struct slice_count {
    size_t n_fail, n_open, worst;
};

static struct slice_count judge_each_slice(struct gate_case *c, const struct slice_list *l,
                                           const double *p, const bool *is_rejected)
{
    struct slice_count n = {0};
    struct json *shown = json_arr(c->arena);
    for (size_t i = 0; i < l->n; i++) {
        bool is_open = !is_rejected[i] && is_doubtful(c->rule, &l->p[i], l->bound);
        enum verdict v = is_rejected[i] ? VERDICT_FAIL : (is_open ? VERDICT_OPEN : VERDICT_PASS);
        n.n_fail += v == VERDICT_FAIL;
        n.n_open += v == VERDICT_OPEN;
        n.worst = p[i] < p[n.worst] ? i : n.worst;
        if (v != VERDICT_PASS)
            json_add(c->arena, shown, slice_json(c, &l->p[i], v));
    }
    json_set(c->arena, c->doc, "slices", json_int(c->arena, (int64_t)l->n));
    json_set(c->arena, c->doc, "slices_too_small", json_int(c->arena, (int64_t)l->n_small));
    json_set(c->arena, c->doc, "failing", shown);
    return n;
}

static void judge_slices(struct gate_case *c, const char *against)
{
    const struct gate_rule *r = c->rule;
    struct slice_list *l = ARENA_NEW(c->arena, struct slice_list);
    double *p = ARENA_NEW_N(c->arena, double, SLICES_MAX);
    bool *is_rejected = ARENA_NEW_N(c->arena, bool, SLICES_MAX);
    if (!l || !p || !is_rejected) {
        gate_say(c, VERDICT_OPEN, "out of memory");
        return;
    }
    collect_slices(l, c, against);
    if (l->n == 0) {
        gate_say(c, VERDICT_OPEN, "no value of %.*s has %lld rows on the benchmark",
                 STR_ARG(r->slice), (long long)r->min_rows);
        return;
    }
    for (size_t i = 0; i < l->n; i++)
        p[i] = l->p[i].judged.p_worse;
    holm_reject(p, l->n, 1.0 - confidence_of(r), is_rejected);
    struct slice_count n = judge_each_slice(c, l, p, is_rejected);
    const struct json *worst = l->p[n.worst].entry;
    struct str name = json_get_str(worst, "value");
    set_evidence(c, worst);
    json_set(c->arena, c->doc, "worst", json_str(c->arena, name));
    gate_say(c, n.n_fail ? VERDICT_FAIL : (n.n_open ? VERDICT_OPEN : VERDICT_PASS),
             "%zu slices of %.*s with %lld rows or more: %zu below the bound beyond chance (Holm), "
             "%zu perhaps; worst "
             "%.*s: %.5g%s%.5g",
             l->n, STR_ARG(r->slice), (long long)r->min_rows, n.n_fail, n.n_open, STR_ARG(name),
             json_get_f64(worst, "candidate", NAN), against ? " against " : ", bound ",
             against ? json_get_f64(worst, "incumbent", NAN) : r->bound);
}

/* ---- across groups ---- */

static void judge_across(struct gate_case *c)
{
    struct slice_list *l = ARENA_NEW(c->arena, struct slice_list);
    if (!l) {
        gate_say(c, VERDICT_OPEN, "out of memory");
        return;
    }
    collect_slices(l, c, NULL);
    if (l->n < 2) {
        gate_say(c, VERDICT_OPEN, "fewer than two values of %.*s have %lld rows",
                 STR_ARG(c->rule->slice), (long long)c->rule->min_rows);
        return;
    }
    const struct reading *lo = &l->p[0], *hi = &l->p[0];
    for (size_t i = 1; i < l->n; i++) {
        lo = l->p[i].interval.estimate < lo->interval.estimate ? &l->p[i] : lo;
        hi = l->p[i].interval.estimate > hi->interval.estimate ? &l->p[i] : hi;
    }
    double d = hi->interval.estimate - lo->interval.estimate,
           se = hypot(hi->interval.se, lo->interval.se);
    double pairs = 0.5 * (double)l->n * (double)(l->n - 1);
    double z = stats_normal_sf_inv((1.0 - confidence_of(c->rule)) / pairs);
    struct str lo_name = json_get_str(lo->entry, "value"),
               hi_name = json_get_str(hi->entry, "value");
    enum verdict v = d <= c->rule->bound
                         ? VERDICT_PASS
                         : (d - z * se > c->rule->bound ? VERDICT_FAIL : VERDICT_OPEN);
    json_set(c->arena, c->doc, "difference", json_num(c->arena, d));
    json_set(c->arena, c->doc, "se", json_num(c->arena, se));
    json_set(c->arena, c->doc, "lowest", json_str(c->arena, lo_name));
    json_set(c->arena, c->doc, "highest", json_str(c->arena, hi_name));
    gate_say(c, v,
             "%s is %.5g for %.*s and %.5g for %.*s: a difference of %.4g, at most %.4g is allowed",
             METRIC_NAMES[c->rule->metric], hi->interval.estimate, STR_ARG(hi_name),
             lo->interval.estimate, STR_ARG(lo_name), d, c->rule->bound);
}

void gate_judge_metric(struct gate_case *c)
{
    if (c->rule->kind == GATE_METRIC_ACROSS)
        judge_across(c);
    else if (c->rule->kind == GATE_METRIC_AGAINST)
        judge_against(c, c->rule->slice.n ? judge_slices : judge_one_against);
    else if (c->rule->slice.n)
        judge_slices(c, NULL);
    else
        judge_bound(c);
}
