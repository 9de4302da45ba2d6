/* A release with its gate report: who, what, and every rule with its verdict and the numbers it rests on. */
#include "cli/view_list.h"

#include "base/check.h"

void cli_view_release(const struct cli_page *p, const struct json *doc)
{
    static const char *const HEAD[] = {"release", "endpoint", "kind", "state",
                                       "author",  "created",  NULL};
    static const char *const RULES[] = {"verdict", "text", "incumbent", "candidate", "why", NULL};
    struct arena a;
    const struct json *gates = json_get(doc, "gates"), *rules = json_get(gates, "rules");
    const char *reason = json_get_c(doc, "reason");
    if (!json_get(doc, "release") || !rules) {
        cli_view_generic(p, doc, NULL);
        return;
    }
    arena_init(&a, 1 << 20);
    struct json *one = json_add(&a, json_arr(&a), json_copy(&a, doc));
    cli_table(p, one, HEAD);
    arena_fini(&a);
    if (reason && reason[0])
        buf_printf(p->out, "reason: %s\n", reason);
    const char *verdict = json_get_c(gates, "verdict");
    buf_printf(p->out, "\ngates: %s (%lld pass, %lld fail, %lld without enough evidence)\n",
               verdict ? verdict : "not judged", (long long)json_get_int(gates, "passed", 0),
               (long long)json_get_int(gates, "failed", 0),
               (long long)json_get_int(gates, "undecided", 0));
    cli_table(p, rules, RULES);
}
