/* A loaded release: the plan that makes rows, the engine that scores them, threshold and names, all checked.
 *
 * Loading takes the tree named in the release document from the blob store, verifies every file's and the model's digest,
 * opens plan and engine, and answers the model's regression set (pawl/regression.json) through them: a row that differs from
 * what evaluation stored refuses the release. So the artifact that serves is the one that was evaluated.
 * regression.json: {"format":1,"rows":[{"request":{field: value, …}, "at"?: time, "scores":[…]}]}; the request holds every
 * request field and every looked-up column ("view.column"); scores are the engine's float32, compared exactly ("NaN" is a string);
 * a lone score may stand as "score".
 * A directory without pawl/plan.json (a model logged from a notebook) gets the plan that its signature or feature names say:
 * one number field per input.
 * A runtime is immutable, counted, and knows neither endpoints nor shares. Threads: any, each with its own runtime_scratch. */
#ifndef PAWL_SERVE_RUNTIME_H
#define PAWL_SERVE_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/value.h"
#include "blob/blob.h"
#include "engine/engine.h"
#include "features/online.h"
#include "features/plan.h"
#include "feedback/schema.h"
#include "json/json.h"

struct runtime;

struct runtime_source {
    struct blob_store *blobs;
    const char *cache_dir; /* trees are materialised below it: home/serving/models */
    struct online *online; /* may be NULL */
};

/* release: its number, for the schema; doc: the release document {model, tree, threshold?, serving?, endpoint, …}.
 * ERR_CORRUPT: a digest differs; ERR_REFUSED: the regression set is answered otherwise (the sentence names row, expected and
 * got). *ret has one reference. */
enum err_code runtime_load(const struct runtime_source *src, int64_t release,
                           const struct json *doc, struct runtime **ret,
                           struct err *err) MUST_CHECK;
/* The same from a model directory, without a store (evaluation, tests): dir must stay as it is. threshold NaN: none. */
enum err_code runtime_load_dir(const char *dir, const struct digest *expect, double threshold,
                               struct online *online, struct runtime **ret,
                               struct err *err) MUST_CHECK;
struct runtime *runtime_ref(struct runtime *r);
void runtime_unref(struct runtime *r); /* NULL is fine; the last one frees: not on an HTTP thread */

int64_t runtime_release(const struct runtime *r);
const struct json *runtime_doc(const struct runtime *r); /* NULL when loaded from a directory */
const char *runtime_dir(
    const struct runtime *r); /* the model directory on disk: pawl/baseline.json and the like */
const struct plan *runtime_plan(const struct runtime *r);
const struct engine *runtime_engine(const struct runtime *r);
const struct record_schema *runtime_schema(const struct runtime *r);
double runtime_threshold(const struct runtime *r); /* NaN: none */
size_t runtime_n_outputs(const struct runtime *r);
const char *runtime_output_name(const struct runtime *r, size_t i); /* "predict", or classes */
size_t runtime_regression_rows(const struct runtime *r);            /* how many were checked */

/* ---- scoring, one row at a time; off the request path or on it ---- */
struct runtime_scratch;
struct runtime_scratch *
runtime_scratch_new(struct runtime *r); /* heap; does not hold a reference */
void runtime_scratch_free(struct runtime_scratch *s);

struct runtime_answer {
    const float *scores; /* n_outputs */
    double decision;     /* by threshold (binary), argmax (multiclass); NaN: none */
    const float *row;    /* plan_n_inputs */
    size_t n_row;
    struct plan_result features;
    bool is_finite; /* every score is */
};
void runtime_begin(struct runtime_scratch *s);
/* Sets a request field or looked-up column; index as plan_find gives it. */
enum err_code runtime_set(struct runtime_scratch *s, size_t slot, const struct value *v,
                          struct err *err) MUST_CHECK;
/* Features and score. *ret points into the scratch, until runtime_begin. */
enum err_code runtime_score(struct runtime_scratch *s, int64_t now_us, struct runtime_answer *ret,
                            struct err *err) MUST_CHECK;
/* Scores a logged request by its field names (schema of the release that logged it): what this release would have answered. Looked-up
 * columns are read from the online store as of at_us. */
enum err_code runtime_score_record(struct runtime_scratch *s, const struct prediction_record *rec,
                                   const struct record_schema *schema, struct runtime_answer *ret,
                                   struct err *err) MUST_CHECK;
/* A field's value as it came: text, number, true, false; NULL and null are no value. Texts are borrowed. */
enum err_code runtime_value(const struct json *v, struct value *ret, struct err *err) MUST_CHECK;
/* Scores a JSON object {field: value}; for cases, regression sets, `pawl predict`. */
enum err_code runtime_score_json(struct runtime_scratch *s, const struct json *request,
                                 int64_t now_us, struct runtime_answer *ret,
                                 struct err *err) MUST_CHECK;

#endif
