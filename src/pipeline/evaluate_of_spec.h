/* The part of pawl.yaml that evaluate/ decodes, in a header of its own: evaluate's headers name metrics, track's too, and no
 * file can have both. Private to pipeline/. */
#ifndef PAWL_PIPELINE_EVALUATE_OF_SPEC_H
#define PAWL_PIPELINE_EVALUATE_OF_SPEC_H

#include "config/config.h"

/* What evaluate/ needs, as documents (its headers and track/'s are never in one file). */
struct pipeline_evaluate {
    struct json *spec;         /* evaluate_spec_json */
    struct json *gates;        /* gate_rules_json */
    struct json *baselines[2]; /* {name: document or true} without and with an incumbent */
    struct json *cases;        /* array or NULL */
    const char *cases_path;    /* absolute; NULL: none */
};

/* The evaluate, gates and cases part of it. */
enum err_code pipeline_evaluate_decode(const struct cfg_node *root, const char *dir,
                                       struct arena *a, struct pipeline_evaluate *ret,
                                       struct cfg_problems *ps, struct err *err) MUST_CHECK;
/* A YAML file, shown in problems as `shown`; *ret NULL after syntax errors. */
enum err_code pipeline_read_yaml(const char *path, const char *shown, struct arena *a,
                                 const struct cfg_node **ret, struct cfg_problems *ps,
                                 struct err *err) MUST_CHECK;

#endif
