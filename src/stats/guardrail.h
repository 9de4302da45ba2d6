/* Rollout guardrails: candidate against incumbent, per assignment bucket and per step.
 *
 * The unit is the entity: requests are summed per assignment bucket, and an arm's mean gets the cluster-robust
 * variance of a ratio. The stratum is the step (and the hour in steps longer than a day): arms are only compared
 * inside a stratum, never pooled over a ramp. Where both releases scored the same request, y is the per-request
 * difference and one arm holds it (paired).
 * A verdict is pass, fail or open, is valid however often one looks, and is a pure function of its spec and strata, both of
 * which are in its JSON: guardrail_replay decides the same again from that document alone.
 * Threads: sums belong to their caller. */
#ifndef PAWL_STATS_GUARDRAIL_H
#define PAWL_STATS_GUARDRAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "json/json.h"

#define GUARDRAIL_BUCKETS 10001 /* 0..9999, and 10000 for requests without their sticky key */
#define GUARDRAIL_K_MIN   30
#define GUARDRAIL_ALPHA   0.01 /* of a rollout, divided by its guardrails */
#define GUARDRAIL_FUSE_N  20

/* Sums of y per bucket, of one (stratum, arm, metric). Heap, grown in pieces of buckets: 16 bytes a bucket seen. */
struct bucket_sums;
struct bucket_sums *bucket_sums_new(void); /* NULL: no memory */
void bucket_sums_free(struct bucket_sums *s);
/* False: no memory. bucket < GUARDRAIL_BUCKETS; y finite. */
bool bucket_sums_add(struct bucket_sums *s, uint32_t bucket, double n, double sum_y);
/* {"bucket": [...], "n": [...], "sum": [...]} : exact, so that sums survive a restart. */
struct json *bucket_sums_json(const struct bucket_sums *s, struct arena *a);
enum err_code bucket_sums_read(const struct json *v, struct bucket_sums **ret,
                               struct err *err) MUST_CHECK;

/* What a verdict needs of one arm in one stratum. */
struct arm_summary {
    double n, sum;   /* requests, sum of y */
    double mean;     /* sum / n */
    double variance; /* of the mean, cluster-robust: sum_j (s_j - R n_j)^2 K / (K-1) / n^2 */
    uint32_t k;      /* buckets with traffic */
};
void bucket_sums_summary(const struct bucket_sums *s,
                         struct arm_summary *ret); /* NULL sums: all 0 */

struct stratum {
    int step;        /* index of the rollout's step */
    int64_t from_us; /* for print */
    double share;    /* declared share of the candidate in this stratum */
    struct arm_summary candidate,
        incumbent; /* paired: differences in `candidate`, incumbent empty */
};

enum guardrail_kind {
    GUARDRAIL_NO_WORSE, /* mean: harm below margin */
    GUARDRAIL_CHANGES,  /* mean: |difference| below margin, two-sided */
    GUARDRAIL_EVENTS, /* rare 0/1: `times` as a ratio and/or margin as an absolute difference of rates */
    GUARDRAIL_EVENTS_MAX, /* rare 0/1: candidate's rate at most `limit`; fails only if the incumbent is not as bad */
    GUARDRAIL_KIND_N
};

enum verdict { VERDICT_OPEN, VERDICT_PASS, VERDICT_FAIL, VERDICT_N };
const char *verdict_name(enum verdict v); /* "not_enough_evidence" "pass" "fail" */
bool verdict_from_name(struct str s, enum verdict *ret);

struct guardrail_spec {
    enum guardrail_kind kind;
    const char *metric; /* for print */
    bool is_paired;
    bool is_higher_better;  /* harm is then incumbent - candidate */
    double margin;          /* absolute, > 0; events: NaN when only `times` is declared */
    double times;           /* events: NaN when only the margin is declared; >= 1 */
    double limit;           /* events_max */
    double smallest_effect; /* the metric's declared smallest effect, or 0 */
    double alpha;           /* this guardrail's share */
    double n_min; /* requests in both arms of a stratum; below it the stratum is not used */
    double fuse;  /* candidate's absolute share that fails at once (>= 20 requests); NaN: none */
};

struct guardrail_result {
    enum verdict verdict;
    double
        estimate; /* harm, or signed difference for GUARDRAIL_CHANGES, candidate's rate for EVENTS_MAX */
    double low, high;              /* always-valid interval of it */
    double se;                     /* 0 where it does not apply */
    double log_e_fail, log_e_pass; /* events: evidence so far; others 0 */
    double incumbent, candidate;   /* means over the strata used, for print only */
    double n_candidate, n_incumbent;
    double design_effect; /* events: counts are divided by it; >= 1 */
    size_t n_strata_used;
    bool is_fuse;
    char why[240];
};

/* strata in time order. Always fills *ret. */
void guardrail_decide(const struct guardrail_spec *spec, const struct stratum *strata, size_t n,
                      struct guardrail_result *ret);
/* {spec, strata, result}: everything the verdict came from. */
struct json *guardrail_json(const struct guardrail_spec *spec, const struct stratum *strata,
                            size_t n, const struct guardrail_result *r, struct arena *a);
/* Decides again from that document; *ret_is_same tells whether verdict, estimate and bounds are bit-equal. */
enum err_code guardrail_replay(const struct json *doc, struct arena *a,
                               struct guardrail_result *ret, bool *ret_is_same,
                               struct err *err) MUST_CHECK;

/* Requests of the candidate that a guardrail needs to be able to pass when the candidate does no harm:
 * sd: standard deviation of y per request (means), base: base rate (events). For `pawl check`. */
double guardrail_rows_needed(const struct guardrail_spec *spec, double sd, double base,
                             double share);

#endif
