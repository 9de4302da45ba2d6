#include "monitor/slo.h"

#include "base/clock.h"

const char *const SLO_SEVERITY_NAMES[SLO_SEVERITY_N] = {"quiet", "ticket", "page"};

/* Share of the budget spent in the long window; the short one is a twelfth of it. Scaled from a 30 day objective. */
struct burn_rule {
    enum slo_severity severity;
    double budget;
    int64_t long_us;
};
static const struct burn_rule RULES[] = {{SLO_PAGE, 0.02, US_PER_HOUR},
                                         {SLO_PAGE, 0.05, 6 * US_PER_HOUR},
                                         {SLO_TICKET, 0.10, US_PER_DAY},
                                         {SLO_TICKET, 0.10, 3 * US_PER_DAY}};

static double burn_of(struct slo_count c, double target)
{
    double n = (double)c.good + (double)c.bad;

    return n > 0 ? (double)c.bad / n / (1 - target) : 0;
}

static struct json *burn_json(const struct slo_spec *s, const struct burn_rule *r,
                              slo_count_fn count, void *arg, int64_t now_us,
                              enum slo_severity *ret_fired, struct arena *a)
{
    struct slo_count lc = count(arg, now_us - r->long_us, now_us);
    struct slo_count sc = count(arg, now_us - r->long_us / 12, now_us);
    double threshold = r->budget * (double)s->window_us / (double)r->long_us;
    double burn_long = burn_of(lc, s->target), burn_short = burn_of(sc, s->target);
    bool is_firing = lc.bad >= SLO_MIN_BAD && burn_long > threshold && burn_short > threshold;
    struct json *o = json_obj(a);

    if (is_firing && r->severity > *ret_fired)
        *ret_fired = r->severity;
    json_set(a, o, "severity", json_cstr(a, SLO_SEVERITY_NAMES[r->severity]));
    json_set(a, o, "window_s", json_num(a, (double)r->long_us / (double)US_PER_S));
    json_set(a, o, "threshold", json_num(a, threshold));
    json_set(a, o, "burn_long", json_num(a, burn_long));
    json_set(a, o, "burn_short", json_num(a, burn_short));
    json_set(a, o, "bad", json_int(a, (int64_t)lc.bad));
    return json_set(a, o, "is_firing", json_bool(a, is_firing));
}

enum slo_severity slo_judge(const struct slo_spec *s, slo_count_fn count, void *arg, int64_t now_us,
                            struct arena *a, struct json **ret)
{
    struct json *o = json_obj(a), *burns = json_arr(a);
    struct slo_count all = count(arg, now_us - s->window_us, now_us);
    double n = (double)all.good + (double)all.bad;
    enum slo_severity severity = SLO_QUIET;

    for (size_t i = 0; i < sizeof(RULES) / sizeof(RULES[0]); i++)
        if (RULES[i].long_us <= s->window_us)
            json_add(a, burns, burn_json(s, &RULES[i], count, arg, now_us, &severity, a));
    json_set(a, o, "name", json_cstr(a, s->name));
    json_set(a, o, "kind", json_cstr(a, SLO_KIND_NAMES[s->kind]));
    json_set(a, o, "target", json_num(a, s->target));
    json_set(a, o, "window_s", json_num(a, (double)s->window_us / (double)US_PER_S));
    json_set(a, o, "good", json_int(a, (int64_t)all.good));
    json_set(a, o, "bad", json_int(a, (int64_t)all.bad));
    if (n > 0)
        json_set(a, o, "budget_left", json_num(a, 1 - (double)all.bad / n / (1 - s->target)));
    json_set(a, o, "severity", json_cstr(a, SLO_SEVERITY_NAMES[severity]));
    json_set(a, o, "burns", burns);
    *ret = o;
    return severity;
}
