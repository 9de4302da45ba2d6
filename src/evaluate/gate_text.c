/* A rule as a sentence, and what changed between two lists of rules. */
#include <math.h>
#include <string.h>

#include "evaluate/gate_int.h"

static struct json *metric_text(const struct gate_rule *r, struct arena *a)
{
    char bound[NUM_TEXT_BYTES];
    const char *name = METRIC_NAMES[r->metric], *on = r->slice.n ? " on " : "";
    if (r->kind == GATE_METRIC_ACROSS) {
        (void)num_f64(bound, r->bound);
        return json_fmt(a, "%s differs by at most %s across %.*s", name, bound, STR_ARG(r->slice));
    }
    if (r->kind == GATE_METRIC_BOUND) {
        (void)num_f64(bound, r->bound);
        return json_fmt(a, "%s at %s %s%s%.*s", name, r->is_at_most ? "most" : "least", bound, on,
                        STR_ARG(r->slice));
    }
    (void)num_f64(bound, fabs(r->margin));
    return json_fmt(a, "%s %s by %s against %s%s%s%s%.*s", name,
                    r->margin < 0 ? "better" : "no worse", bound, r->against[0],
                    r->n_against > 1 ? " and " : "", r->n_against > 1 ? r->against[1] : "", on,
                    STR_ARG(r->slice));
}

struct json *gate_rule_text(const struct gate_rule *r, struct arena *a)
{
    char text[NUM_TEXT_BYTES];
    switch (r->kind) {
    case GATE_METRIC_BOUND:
    case GATE_METRIC_AGAINST:
    case GATE_METRIC_ACROSS:
        return metric_text(r, a);
    case GATE_LATENCY:
        (void)duration_text(text, (int64_t)r->bound);
        return json_fmt(a, "latency %s at most %s", r->latency_quantile < 0.9 ? "p50" : "p99",
                        text);
    case GATE_SIZE:
        return json_fmt(a, "size at most %.0f bytes", r->bound);
    case GATE_CASES:
        return json_cstr(a, "known-hard cases pass");
    case GATE_CHECKS:
        return json_cstr(a, "data checks pass");
    case GATE_LOADS:
        return json_cstr(a, "the serving engine loads the release");
    case GATE_INTERFACE:
        return json_cstr(a, "the interface is compatible with the live release");
    case GATE_REGRESSION:
        return json_cstr(a, "the loaded release answers the regression set as it was evaluated");
    case GATE_KIND_N:
        break;
    }
    return json_cstr(a, "?");
}

/* Do two rules speak about the same thing? */
static bool is_same_subject(const struct gate_rule *x, const struct gate_rule *y)
{
    return x->kind == y->kind && x->metric == y->metric && x->is_at_most == y->is_at_most &&
           str_eq(x->slice, y->slice) && x->latency_quantile == y->latency_quantile;
}

static const struct gate_rule *find_subject(const struct gate_rules *list,
                                            const struct gate_rule *r)
{
    for (size_t i = 0; i < list->n; i++)
        if (is_same_subject(&list->p[i], r))
            return &list->p[i];
    return NULL;
}

static bool is_looser(const struct gate_rule *from, const struct gate_rule *to)
{
    bool is_bound_looser = from->is_at_most || from->kind == GATE_METRIC_ACROSS
                               ? to->bound > from->bound
                               : to->bound < from->bound;
    return (to->is_warning && !from->is_warning) || is_bound_looser || to->margin > from->margin ||
           to->min_rows > from->min_rows || to->confidence < from->confidence ||
           to->n_against < from->n_against;
}

struct json *gate_rules_diff(const struct gate_rules *from, const struct gate_rules *to,
                             struct arena *a)
{
    struct json *arr = json_arr(a);
    for (size_t i = 0; i < from->n; i++) {
        const struct gate_rule *f = &from->p[i], *t = find_subject(to, f);
        if (t && json_eq(f->declared, t->declared))
            continue;
        struct json *o = json_obj(a);
        json_set(a, o, "rule", gate_rule_text(f, a));
        json_set(a, o, "from", f->declared);
        if (t)
            json_set(a, o, "to", t->declared);
        json_add(a, arr, json_set(a, o, "is_looser", json_bool(a, !t || is_looser(f, t))));
    }
    for (size_t i = 0; i < to->n; i++) {
        if (find_subject(from, &to->p[i]))
            continue;
        struct json *o = json_obj(a);
        json_set(a, o, "rule", gate_rule_text(&to->p[i], a));
        json_set(a, o, "to", to->p[i].declared);
        json_add(a, arr, json_set(a, o, "is_looser", json_bool(a, false)));
    }
    return arr;
}
