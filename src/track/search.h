/* Search in MLflow's filter language: "metrics.auc > 0.7 AND params.depth = '6' AND tags.team LIKE
 * 'ml%'".
 *
 * clause (AND clause)*; a clause is entity.key OP value, or attribute OP value; keys in backticks
 * or double quotes may hold anything. One table of attributes for each kind of thing; the text
 * becomes SQL with bound values only. != and LIKE on a key that is absent do not match; NaN matches
 * no number. Order: what order_by says (missing values last both ways, NaN just before them), then
 * newest first, then id. Also used by registry/ for models. */
#ifndef PAWL_TRACK_SEARCH_H
#define PAWL_TRACK_SEARCH_H

#include "track/track.h"

#define SEARCH_LIMIT_MAX 50000

struct search_query {
    const int64_t *experiment_ids; /* runs only; none: every experiment */
    size_t n_experiment_ids;
    const char *filter;          /* NULL or "": all */
    const char *const *order_by; /* "metrics.auc DESC", "attributes.start_time" */
    size_t n_order_by;
    enum life_view view;
    int64_t limit;          /* 1..SEARCH_LIMIT_MAX */
    const char *page_token; /* NULL or "": from the start */
};

/* Runs with latest metrics, params, tags and inputs. ret_next_token: NULL at the last page; in the
 * arena. ERR_INVALID / ERR_PARSE name what in the filter is wrong and where. */
enum err_code run_search(struct track *t, const struct search_query *q, struct arena *a,
                         struct run **ret, size_t *ret_n, char **ret_next_token,
                         struct err *err) MUST_CHECK;
enum err_code experiment_search(struct track *t, const struct search_query *q, struct arena *a,
                                struct experiment **ret, size_t *ret_n, char **ret_next_token,
                                struct err *err) MUST_CHECK;

#endif
