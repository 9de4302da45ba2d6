/* The owner's side of checks: the child looks at rows, distributions are judged here from the profiles of versions. */
#include "base/check.h"
#include "data/profile.h"
#include "validate/check_int.h"

static bool verdict_is(const struct json *rule, const char *verdict)
{
    return str_is(json_get_str(rule, "verdict"), verdict);
}

static struct json *distribution_result(const struct check_rule *r, const struct json *now,
                                        const struct json *then, struct arena *a)
{
    struct json *v = json_obj(a);
    const char *column = str_dup(a, r->columns[0]);
    const double limit = json_get_f64(r->params, "psi", 0.2);
    double psi = -1;
    if (then != NULL && column != NULL)
        psi =
            profile_psi(json_get(json_get(then, "profile"), column), json_get_int(then, "rows", 0),
                        json_get(json_get(now, "profile"), column), json_get_int(now, "rows", 0));
    json_set(a, v, "name", json_str(a, r->name));
    json_set(a, v, "kind", json_cstr(a, check_kind_name(r->kind)));
    json_set(a, v, "columns", json_add(a, json_arr(a), json_str(a, r->columns[0])));
    json_set(a, v, "on_fail", json_cstr(a, r->is_block ? "block" : "warn"));
    json_set(a, v, "limit", json_num(a, limit));
    if (psi < 0) {
        json_set(a, v, "verdict", json_cstr(a, "no_evidence"));
        json_set(a, v, "message",
                 json_fmt(a, "%.*s: there is nothing to compare with yet", STR_ARG(r->name)));
        return v;
    }
    json_set(a, v, "observed", json_num(a, psi));
    json_set(a, v, "verdict", json_cstr(a, psi <= limit ? "pass" : "fail"));
    json_set(a, v, "message", json_fmt(a, "%.*s: psi is %.4g", STR_ARG(r->name), psi));
    return v;
}

static enum err_code distributions(const struct data_env *env, const struct checks_order *o,
                                   struct arena *a, struct json *rules, struct err *err)
{
    const struct json *binding = json_at(o->bindings, 0);
    const struct str digest = json_get_str(binding, "digest");
    struct data_version now = {0};
    for (size_t i = 0; i < o->checks->n; i++) {
        const struct check_rule *r = &o->checks->p[i];
        if (r->kind != CHECK_DISTRIBUTION)
            continue;
        if (now.doc == NULL && digest.n > 0) {
            const enum err_code code =
                data_version_load(env, o->checks->source, digest, a, &now, err);
            if (code != ERR_OK)
                return code;
        }
        const char *against = json_get_c(r->params, "against");
        json_add(
            a, rules,
            distribution_result(r, now.doc, against ? json_get(o->references, against) : NULL, a));
    }
    return ERR_OK;
}

static const char *overall(const struct json *rules)
{
    const char *verdict = "pass";
    for (size_t i = 0; i < json_len(rules); i++) {
        const struct json *r = json_at(rules, i);
        if (!verdict_is(r, "fail"))
            continue;
        if (str_is(json_get_str(r, "on_fail"), "block"))
            return "fail";
        verdict = "warn";
    }
    return verdict;
}

enum err_code checks_run(const struct data_env *env, const struct checks_order *o, struct arena *a,
                         struct json **ret, struct err *err)
{
    struct json *args = json_obj(a), *found = NULL;
    json_set(a, args, "bindings", json_copy(a, o->bindings));
    json_set(a, args, "rules", checks_json(o->checks, a));
    json_set(a, args, "at", json_time(a, o->at_us));
    enum err_code code = data_env_call(env, "validate.run", args, a, &found, err);
    if (code != ERR_OK)
        return err_wrap(err, "checks of %.*s", STR_ARG(o->checks->source));
    struct json *rules = json_copy(a, json_get(found, "rules")), *report = json_obj(a);
    code = distributions(env, o, a, rules, err);
    if (code != ERR_OK)
        return code;
    json_set(a, report, "source", json_str(a, o->checks->source));
    json_set(a, report, "digest", json_copy(a, json_get(json_at(o->bindings, 0), "digest")));
    json_set(a, report, "rows", json_copy(a, json_get(found, "rows")));
    json_set(a, report, "at", json_time(a, o->at_us));
    json_set(a, report, "verdict", json_cstr(a, overall(rules)));
    json_set(a, report, "rules", rules);
    *ret = report;
    return ERR_OK;
}

void checks_report_text(const struct json *report, struct buf *out)
{
    static const char *const ORDER[] = {"block", "warn"};
    const struct json *rules = json_get(report, "rules");
    for (size_t k = 0; k < ARRAY_LEN(ORDER); k++)
        for (size_t i = 0; i < json_len(rules); i++) {
            const struct json *r = json_at(rules, i);
            if (verdict_is(r, "fail") && str_is(json_get_str(r, "on_fail"), ORDER[k]))
                buf_printf(out, "%.*s: %.*s\n", STR_ARG(json_get_str(report, "source")),
                           STR_ARG(json_get_str(r, "message")));
        }
}
