/* Private to the gate files of evaluate/. */
#ifndef PAWL_EVALUATE_GATE_INT_H
#define PAWL_EVALUATE_GATE_INT_H

#include "evaluate/gate.h"
#include "stats/interval.h"

#define GATE_WHY_BYTES  400
#define GATE_MIN_ROWS   200
#define GATE_CONFIDENCE 0.95

/* One rule from its JSON. False with a sentence in `why` (GATE_WHY_BYTES). */
bool gate_rule_read(const struct json *declared, struct gate_rule *ret, char *why);
/* "roc_auc at least 0.68", "latency p99 at most 5ms": what people read. */
struct json *gate_rule_text(const struct gate_rule *r, struct arena *a);

/* Judging of one rule; fills r->verdict and members of doc. */
struct gate_case {
    const struct gate_rule *rule;
    const struct gate_documents *docs;
    struct arena *arena;
    struct json *doc;
    enum verdict verdict;
};
void gate_judge_metric(struct gate_case *c);
void gate_say(struct gate_case *c, enum verdict v, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
