/* The evaluate section, its cases file and the gates, as the documents that the worker takes. */
#include "pipeline/evaluate_of_spec.h"
#include "base/check.h"
#include "base/file.h"
#include "evaluate/gate.h"
#include "evaluate/spec.h"

static enum err_code read_cases(const struct cfg_node *at, const char *name, struct arena *a,
                                struct pipeline_evaluate *ret, struct cfg_problems *ps,
                                struct err *err)
{
    const struct cfg_node *root = NULL;
    if (!file_exists(ret->cases_path)) {
        cfg_error(ps, at,
                  "%s is not there: the cases file is named relative to the project's folder",
                  name);
        return ERR_OK;
    }
    enum err_code code = pipeline_read_yaml(ret->cases_path, name, a, &root, ps, err);
    if (code == ERR_OK && root != NULL)
        ret->cases = evaluate_cases_decode(root, a, ps);
    return code;
}

enum err_code pipeline_evaluate_decode(const struct cfg_node *root, const char *dir,
                                       struct arena *a, struct pipeline_evaluate *ret,
                                       struct cfg_problems *ps, struct err *err)
{
    struct evaluate_spec spec = {0};
    struct gate_rules gates = {0};
    const struct cfg_node *section = cfg_get(root, "evaluate");
    evaluate_spec_decode(section, root, a, &spec, ps);
    gate_rules_decode(cfg_get(root, "gates"), root, a, &gates, ps);
    *ret = (struct pipeline_evaluate){
        .spec = evaluate_spec_json(&spec, a),
        .gates = gate_rules_json(&gates, a),
        .baselines = {gate_rules_models(&gates, false, a), gate_rules_models(&gates, true, a)}};
    if (spec.cases == NULL)
        return ERR_OK;
    ret->cases_path = path_join(a, dir, spec.cases);
    if (ret->cases_path == NULL)
        return arena_err(a, err);
    return read_cases(cfg_get(section, "cases"), spec.cases, a, ret, ps, err);
}
