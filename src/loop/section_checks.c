#include "loop/section_checks.h"

#include "base/check.h"
#include "loop/trigger_spec.h"
#include "monitor/monitor_spec.h"
#include "release/release_spec.h"

static struct json *step_needs(const struct rollout_plan *p, int i, struct arena *a)
{
    const struct rollout_step *s = &p->steps[i];
    struct json *o = json_obj(a), *guards = json_arr(a);
    double most = (double)s->samples;
    char text[NUM_TEXT_BYTES];

    for (int g = 0; g < p->n_guards && s->share > 0 && s->share < 10000; g++) {
        double n = guard_requests_needed(&p->guards[g], p, s->share);
        struct json *one = json_obj(a);
        json_set(a, one, "metric", json_cstr(a, GUARD_METRIC_NAMES[p->guards[g].metric]));
        json_set(a, one, "requests_of_candidate", json_num(a, n));
        json_add(a, guards, one);
        if (p->guards[g].is_required && n > most)
            most = n;
    }
    (void)duration_text(text, s->window_us);
    json_set(a, o, "step", json_int(a, i));
    json_set(a, o, "share", json_num(a, s->share / 10000.0));
    json_set(a, o, "window", json_cstr(a, text));
    json_set(a, o, "requests_of_candidate", json_num(a, most));
    if (s->share > 0)
        json_set(a, o, "requests_in_all", json_num(a, most * 10000.0 / s->share));
    return json_set(a, o, "guardrails", guards);
}

static void check_release(const struct cfg_node *root, struct arena *a, struct cfg_problems *ps,
                          struct json *needs)
{
    struct release_spec s;
    struct json *steps = json_arr(a);

    release_spec_decode(root, a, &s, ps);
    if (!s.endpoint.is_declared || !needs)
        return;
    for (int i = 0; i < s.endpoint.rollout.n_steps; i++)
        json_add(a, steps, step_needs(&s.endpoint.rollout, i, a));
    json_set(a, needs, "rollout", steps);
}

static void check_monitor(const struct cfg_node *root, struct arena *a, struct cfg_problems *ps,
                          struct json *needs)
{
    struct monitor_spec s;

    (void)needs;
    monitor_spec_decode(root, a, &s, ps);
    for (size_t i = 0; i < s.n_slos; i++)
        if (s.slos[i].source && !cfg_get(cfg_get(root, "sources"), s.slos[i].source))
            cfg_error(ps, cfg_get(root, "slo"),
                      "objective %s watches source \"%s\", which is not declared", s.slos[i].name,
                      s.slos[i].source);
}

static void check_triggers(const struct cfg_node *root, struct arena *a, struct cfg_problems *ps,
                           struct json *needs)
{
    struct trigger_spec s;

    (void)needs;
    trigger_spec_decode(cfg_get(root, "triggers"), root, a, &s, ps);
}

const struct pipeline_section_check LOOP_SECTION_CHECKS[] = {
    {"release", check_release}, {"monitor", check_monitor}, {"triggers", check_triggers}};
const size_t N_LOOP_SECTION_CHECKS = ARRAY_LEN(LOOP_SECTION_CHECKS);
