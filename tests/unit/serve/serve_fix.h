/* A small home for the tests of serving: store, journal, log, and releases of one hand-written tree.
 *
 * The model has inputs a and b; a < 1 scores sigmoid(-leaf), else sigmoid(leaf), a missing one goes left. The leaf tells releases apart. */
#ifndef PAWL_TESTS_SERVE_FIX_H
#define PAWL_TESTS_SERVE_FIX_H

#include "audit/journal.h"
#include "blob/blob.h"
#include "feedback/log.h"
#include "serve/serve.h"
#include "test.h"

struct home {
    char dir[64], path[128];
    struct blob_store *blobs;
    struct journal *journal;
    struct feedback_log *log;
    struct serve *serve;
    struct arena arena; /* of release documents */
    int n_told[SERVE_EV_N];
    bool is_replay;
};

int home_make(void **state); /* cmocka set-up: *state is a struct home * */
int home_drop(void **state);
void home_open(struct home *h); /* the parts, on what is in dir */
void home_close(struct home *h);

struct model_shape {
    double leaf;
    double threshold;       /* NaN: none */
    const char *plan;       /* pawl/plan.json or NULL */
    const char *regression; /* pawl/regression.json or NULL */
};
/* Stores the model and returns its release document, in h->arena. */
struct json *release_make(struct home *h, const struct model_shape *shape);
/* The float32 score of the model for a. */
float score_of(double leaf, double a);

void decide_ok(struct home *h, const struct serve_decision *d, struct serve_result *ret);
/* A release that goes live at once on endpoint "e". */
void go_live(struct home *h, int64_t number, double leaf);

/* One row {a, b} as two columns; the answer in arena. */
enum err_code predict_ab(struct home *h, const char *id, double a, double b, struct arena *arena,
                         struct serve_answer *ret, struct err *err);

#endif
