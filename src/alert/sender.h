/* Delivers the outbox: webhooks in the shape of Alertmanager's webhook version 4 (and
 * Alertmanager's own API), retried with growing pauses, in order for each (receiver, alert). What
 * cannot be delivered within a day is given up, visibly. A message is built when it is sent, from
 * the alert as it is; every firing alert is repeated each 4 hours until it is acknowledged or over
 * (to Alertmanager: each minute, as it expects). Threads: alert_deliver_due from one thread at a
 * time; alert_sender_start runs one. */
#ifndef PAWL_ALERT_SENDER_H
#define PAWL_ALERT_SENDER_H

#include "alert/receiver.h"

/* Posts a body; *ret_status is the HTTP status. An error means that no answer came. Blocking, with
 * its own deadline. */
struct alert_post {
    enum err_code (*post)(void *arg, const char *url, struct str body, int *ret_status,
                          struct err *err);
    void *arg;
};
/* Over http/client.h. */
struct alert_post alert_post_http(void);

struct alert_sender;
struct alert_sender_options {
    struct db *db;
    struct alert_post post;
    const struct clock *clock;
    const char *external_url; /* of the page, for links; NULL: none */
    /* Head of the audit chain for the annotation `audit_head`; may be NULL. */
    enum err_code (*audit_head)(void *arg, struct arena *a, char **ret, struct err *err);
    void *audit_arg;
};
enum err_code alert_sender_open(const struct alert_sender_options *opt, struct alert_sender **ret,
                                struct err *err) MUST_CHECK;
void alert_sender_close(struct alert_sender *s); /* stops the thread; accepts NULL */
/* Sends everything that is due now. Failures to deliver are recorded, not returned; ret_sent may be
 * NULL. */
enum err_code alert_deliver_due(struct alert_sender *s, int64_t *ret_sent,
                                struct err *err) MUST_CHECK;
/* A thread that looks each second, and at once after alert_sender_wake. */
enum err_code alert_sender_start(struct alert_sender *s, struct err *err) MUST_CHECK;
void alert_sender_wake(struct alert_sender *s);

/* The webhook body of one alert. */
struct json *alert_webhook_json(const struct alert *al, const char *receiver,
                                const char *external_url, struct arena *a);

#endif
