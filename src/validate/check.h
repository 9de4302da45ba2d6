/* Declared expectations on the rows of a source (`checks`), and their verdicts.
 *
 *   checks:
 *     flights:
 *       - { columns: [date, origin], nulls: 0 }                    # share ("<= 1%") or count
 *       - { column: delay, type: integer, range: [-1200, 3000] }   # null bound: open
 *       - { column: origin, pattern: "[A-Z0-9]{3}", in: airports.iata, on_fail: warn }   #
 * whole-match regex; list or source.column
 *       - { column: id, unique: true }      or  { columns: [a, b], unique: true }
 *       - { rows: ">= 1000" }               # also "<= N", [min, max]
 *       - { freshness: 36h }                # newest known row, at the as-of time
 *       - { expression: "origin <> destination", share: ">= 99.9%" }
 *       - { column: distance, distribution: { against: previous, psi: 0.2 } }   # previous | DIGEST
 *       - { schema: [date, delay, …], extra: false }               # columns that must be there
 *       on any: on_fail: block (default) | warn,  share: ">= 99%" (tolerated part),  name: …
 *
 * One rule of the file may hold several expectations; each gets its own verdict. All row-wise
 * expectations of a source are one pass of DuckDB, uniqueness and membership one each. Three
 * verdicts: pass, fail, and "no_evidence" (a distribution without reference, a share of no rows).
 */
#ifndef PAWL_VALIDATE_CHECK_H
#define PAWL_VALIDATE_CHECK_H

#include "config/config.h"
#include "data/version.h"

enum check_kind {
    CHECK_NULLS,
    CHECK_TYPE,
    CHECK_RANGE,
    CHECK_IN,
    CHECK_PATTERN,
    CHECK_UNIQUE,
    CHECK_ROWS,
    CHECK_FRESHNESS,
    CHECK_EXPRESSION,
    CHECK_DISTRIBUTION,
    CHECK_SCHEMA,
    CHECK_KIND_N
};

struct check_rule {
    enum check_kind kind;
    struct str name; /* "delay range [-1200, 3000]": stable, shown */
    struct str *columns;
    size_t n_columns;
    bool is_block;
    struct json *params; /* by kind; plain JSON, so that a rule travels to the child as it is */
    const struct cfg_node *node;
};

struct checks_of_source {
    struct str source;
    struct check_rule *p;
    size_t n;
};

struct checks_spec {
    struct checks_of_source *p;
    size_t n;
};

void checks_spec_decode(const struct cfg_node *section, const struct cfg_node *root,
                        const struct sources_spec *sources, struct arena *a,
                        struct checks_spec *ret, struct cfg_problems *ps);
const struct checks_of_source *checks_spec_find(const struct checks_spec *s, struct str source);
struct json *checks_json(const struct checks_of_source *c,
                         struct arena *a); /* [{kind, name, columns, on_fail, params}] */

/* A first draft for a profiled version: types, null shares, ranges widened, small sets; as YAML
 * text for the section's source. */
enum err_code checks_infer(const struct json *version_doc, struct arena *a, struct str *ret_yaml,
                           struct err *err) MUST_CHECK;

struct checks_order {
    const struct checks_of_source *checks;
    const struct json *
        bindings; /* the source first, then every source that an `in: source.column` names (data_binding) */
    const struct json *
        references; /* {"previous": DOC, DIGEST: DOC} version documents for distribution checks; NULL */
    int64_t at_us; /* as-of time for freshness */
};

/* Runs the checks of one source in a child.
 * ret  {"source","digest","rows","at","verdict":"pass|warn|fail","rules":[{"name","kind","columns","on_fail",
 *      "verdict":"pass|fail|no_evidence|error","observed","limit","failing":N,
 *      "rows":[{"row":N,"values":{…}}],"message"}]}; verdict "fail" = a blocking rule failed. */
enum err_code checks_run(const struct data_env *env, const struct checks_order *o, struct arena *a,
                         struct json **ret, struct err *err) MUST_CHECK;
/* One sentence for each failed rule, the blocking first. */
void checks_report_text(const struct json *report, struct buf *out);

#endif
