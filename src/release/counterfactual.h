/* What a release would have answered to the logged requests of a past period, beside what was answered, judged by the labels
 * that came. Reads logs and store; changes nothing. A look-up is made as of the request's time, so values that the online store no
 * longer keeps are missing: the answer counts them. */
#ifndef PAWL_RELEASE_COUNTERFACTUAL_H
#define PAWL_RELEASE_COUNTERFACTUAL_H

#include <stdatomic.h>

#include "blob/blob.h"
#include "db/db.h"
#include "feedback/label.h"
#include "feedback/log.h"
#include "serve/runtime.h"

struct counterfactual_order {
    const char *endpoint, *home;
    int64_t release;
    int64_t from_us, to_us; /* AT_US_NONE: open */
    struct feedback_log *log;
    struct label_log *labels;
    struct online *online;
    struct blob_store *blobs;
    bool is_replay; /* times are event times; else wall times */
    const atomic_bool *is_cancelled;
};

/* *ret {endpoint, release, from, to, requests, labelled, flips, answered: {metrics}, other: {metrics}}. Cost: about 10 us a request. */
enum err_code release_counterfactual(struct db *db, const struct counterfactual_order *o,
                                     struct arena *a, struct json **ret,
                                     struct err *err) MUST_CHECK;

#endif
