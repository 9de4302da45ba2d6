/* The `gates`, `approvals` and `endpoint` sections of pawl.yaml: what a release must show, who must agree, and how it
 * is rolled out and taken back. Lives in the arena it was decoded into. Gates keep their YAML as JSON beside the decoded
 * form (evaluate/gate.h), because the policy in force is compared rule by rule. */
#ifndef PAWL_RELEASE_RELEASE_SPEC_H
#define PAWL_RELEASE_RELEASE_SPEC_H

#include "config/config.h"
#include "evaluate/gate.h"
#include "release/rollout.h"

enum approval_role { APPROVAL_ML, APPROVAL_BUSINESS, APPROVAL_ROLE_N };
extern const char *const APPROVAL_ROLE_NAMES[APPROVAL_ROLE_N];

struct endpoint_spec {
    bool is_declared;
    const char *name;
    struct rollout_plan rollout; /* with defaults where the section is silent */
    int keep;                    /* releases whose views stay warm for a rollback; default 3 */
};

struct release_spec {
    struct endpoint_spec endpoint;
    struct gate_rules gates;     /* with the rules that every list has */
    bool needs[APPROVAL_ROLE_N]; /* approvals of each release */
    const struct json
        *policy; /* gates, guardrails, approvals, slo as JSON: what a policy release compares */
};

void release_spec_decode(const struct cfg_node *root, struct arena *a, struct release_spec *ret,
                         struct cfg_problems *ps);
/* What the candidate's policy changes against the live one's: [{path, from, to}]; empty array when nothing. */
struct json *policy_diff(const struct json *live, const struct json *candidate, struct arena *a);

#endif
