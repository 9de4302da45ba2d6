/* Who is told: the `alerts:` section of pawl.yaml and the receivers it makes.
 *
 *   alerts: [{ webhook: "${PAWL_WEBHOOK}", severity: [page, ticket], headers?: {…} },
 *            { alertmanager: "http://localhost:9093" }]
 *
 * An URL is kept as written: ${NAME} is replaced when a message is sent, so that no secret is
 * stored. */
#ifndef PAWL_ALERT_RECEIVER_H
#define PAWL_ALERT_RECEIVER_H

#include "alert/alert.h"
#include "config/config.h"

enum receiver_kind { RECEIVER_WEBHOOK, RECEIVER_ALERTMANAGER, RECEIVER_KIND_N };
const char *receiver_kind_name(enum receiver_kind k); /* "webhook" "alertmanager" */

struct alert_receiver_spec {
    enum receiver_kind kind;
    const char *url;     /* as written */
    unsigned severities; /* bit 1 << enum alert_severity */
    bool tells_resolved; /* default true */
};

struct alert_spec {
    struct alert_receiver_spec *receivers;
    size_t n;
};

/* section: the node of `alerts`, or NULL. */
void alert_spec_decode(const struct cfg_node *section, const struct cfg_node *root, struct arena *a,
                       struct alert_spec *ret, struct cfg_problems *ps);
/* Makes these the receivers of the project; those it no longer has get no new messages. */
enum err_code alert_receivers_set(struct db_tx *tx, const char *project,
                                  const struct alert_spec *spec, int64_t at_us,
                                  struct err *err) MUST_CHECK;

/* How delivery goes: a receiver that fails is a fact to be seen (status, readiness). */
struct alert_receiver_state {
    int64_t id;
    const char *project, *url; /* url as written */
    enum receiver_kind kind;
    bool is_active;
    int64_t n_sent, n_failed_in_row, n_waiting, n_given_up;
    int64_t last_ok_us, last_error_us; /* AT_US_NONE: never */
    const char *last_error;            /* NULL: none */
};
enum err_code alert_receiver_states(struct db_tx *tx, struct arena *a,
                                    struct alert_receiver_state **ret, size_t *ret_n,
                                    struct err *err) MUST_CHECK;
struct json *alert_receiver_state_json(const struct alert_receiver_state *s, struct arena *a);

#endif
