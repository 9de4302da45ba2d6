/* `pawl run`: what came out, which steps were computed, what fails; the whole document is one --json away. */
#include "cli/view_list.h"

#include "base/check.h"

static void put_cell(const struct cli_page *p, const char *label, const char *name,
                     const struct json *v)
{
    struct arena a;
    struct str cell;
    if (!v || v->type >= JSON_ARR)
        return;
    arena_init(&a, 1 << 16);
    cli_cell(&a, name, v, &cell);
    if (cell.n > 0)
        buf_printf(p->out, "%-12s %.*s\n", label, STR_ARG(cell));
    arena_fini(&a);
}

static void put_model(const struct cli_page *p, const struct json *model)
{
    const char *name = json_get_c(model, "name");
    if (name)
        buf_printf(p->out, "%-12s %s/%lld\n", "model", name,
                   (long long)json_get_int(model, "version", 0));
    put_cell(p, "digest", "digest", json_get(model, "digest"));
    put_cell(p, "threshold", "threshold", json_get(model, "threshold"));
}

/* The candidate's metrics on the benchmark rows, with the interval of each. */
static void put_metrics(const struct cli_page *p, const struct json *model)
{
    const struct json *metrics = json_get(model, "metrics");
    for (size_t i = 0; metrics && metrics->type == JSON_OBJ && i < metrics->u.obj.n; i++) {
        const struct json *m = metrics->u.obj.members[i].val;
        double low = json_get_f64(m, "low", 0), high = json_get_f64(m, "high", 0);
        buf_printf(p->out, "%-12s %.*s %.4f", i == 0 ? "metrics" : "",
                   STR_ARG(metrics->u.obj.members[i].key), json_get_f64(m, "value", 0));
        if (json_get(m, "low") && json_get(m, "high"))
            buf_printf(p->out, "  (%.4f to %.4f)", low, high);
        if (i == 0 && json_get_c(model, "split"))
            buf_printf(p->out, "  on %s", json_get_c(model, "split"));
        buf_ch(p->out, '\n');
    }
}

/* Rules of every report that did not pass, with their sentences. */
static void put_failures(const struct cli_page *p, const struct json *reports)
{
    for (size_t i = 0; reports && reports->type == JSON_OBJ && i < reports->u.obj.n; i++) {
        const struct json *report = reports->u.obj.members[i].val;
        const struct json *rules = json_get(report, "rules");
        rules = rules ? rules : json_get(report, "checks");
        for (size_t k = 0; k < json_len(rules); k++) {
            const struct json *rule = json_at(rules, k);
            struct str verdict = json_get_str(rule, "verdict");
            const char *message = json_get_c(rule, "message");
            if (!str_is(verdict, "pass") && message)
                buf_printf(p->out, "  %.*s  %.*s: %s\n", STR_ARG(verdict),
                           STR_ARG(reports->u.obj.members[i].key), message);
        }
    }
}

/* Why each step was computed: what changed, from what, to what. */
static void put_why(const struct cli_page *p, const struct json *step)
{
    const struct json *why = json_get(step, "why");
    for (size_t i = 0; i < json_len(why); i++) {
        const struct json *w = json_at(why, i);
        const char *what = json_get_c(w, "what"), *from = json_get_c(w, "from"),
                   *to = json_get_c(w, "to");
        buf_printf(p->out, "%-18s %s", i == 0 ? json_get_c(step, "name") : "", what ? what : "");
        if (from || to)
            buf_printf(p->out, ": %s -> %s", from ? from : "(none)", to ? to : "(none)");
        buf_ch(p->out, '\n');
    }
}

/* What one would do now. */
static void put_next(const struct cli_page *p, const struct json *doc)
{
    const char *outcome = json_get_c(doc, "outcome"),
               *name = json_get_c(json_get(doc, "model"), "name");
    long long version = (long long)json_get_int(json_get(doc, "model"), "version", 0);
    if (outcome && strcmp(outcome, "done") == 0 && name && version > 0)
        buf_printf(p->out, "\nnext: pawl deploy %s/%lld --endpoint NAME\n", name, version);
    else if (outcome && strcmp(outcome, "unchanged") == 0)
        buf_c(p->out, "nothing changed: nothing was computed\n");
}

void cli_view_run(const struct cli_page *p, const struct json *doc)
{
    static const char *const STEPS[] = {"name", "state", "ms", "digest", NULL};
    const struct json *counts = json_get(doc, "counts"), *checks = json_get(doc, "checks");
    if (!json_get_c(doc, "outcome")) {
        cli_view_generic(p, doc, NULL);
        return;
    }
    put_cell(p, "outcome", "outcome", json_get(doc, "outcome"));
    put_cell(p, "run", "run", json_get(doc, "run"));
    put_cell(p, "revision", "revision", json_get(doc, "revision"));
    put_cell(p, "as of", "as_of", json_get(doc, "as_of"));
    if (counts)
        buf_printf(p->out, "%-12s %lld, %lld computed, %lld reused\n", "steps",
                   (long long)json_get_int(counts, "steps", 0),
                   (long long)json_get_int(counts, "ran", 0),
                   (long long)json_get_int(counts, "reused", 0));
    put_model(p, json_get(doc, "model"));
    put_metrics(p, json_get(doc, "model"));
    put_cell(p, "checks", "verdict", json_get(checks, "verdict"));
    put_failures(p, json_get(checks, "reports"));
    if (json_len(json_get(doc, "steps")) > 0 && json_get_int(counts, "ran", 0) > 0) {
        buf_ch(p->out, '\n');
        cli_table(p, json_get(doc, "steps"), STEPS);
    }
    if (json_get_bool(doc, "explain", false)) {
        buf_ch(p->out, '\n');
        for (size_t i = 0; i < json_len(json_get(doc, "steps")); i++)
            put_why(p, json_at(json_get(doc, "steps"), i));
    }
    put_next(p, doc);
}
