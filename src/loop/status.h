/* `pawl status`: the loop box by box, with the state of each box and each arrow, computed from records.
 *
 * Works without the database, and says so: Deploy, Serve, Monitor, Feedback come from memory; the other boxes are then
 * "unknown" with the reason. Every box names its owner, runbook and the next command. */
#ifndef PAWL_LOOP_STATUS_H
#define PAWL_LOOP_STATUS_H

#include "feedback/log.h"
#include "loop/loop.h"

enum box_state { BOX_OK, BOX_WAITING, BOX_WARN, BOX_BROKEN, BOX_UNKNOWN, BOX_IDLE, BOX_STATE_N };
extern const char *const BOX_STATE_NAMES[BOX_STATE_N];

struct status_sources { /* all borrowed; NULL: not there */
    const char *root;
    struct db *db;
    struct serve *serve;
    struct monitor *monitor;
    struct release_host *release;
    struct loop *loop;
    struct feedback_log *log;
    struct clock clock;
    bool is_replay;
};

/* {project, endpoint, at, clock, database, state: worst, boxes: [{box, state, text, since, last, owner, runbook, next}],
 *  arrows: [{from, to, state, text, last}], alerts: [...]}; endpoint NULL: the first one. */
enum err_code status_json(const struct status_sources *s, const char *endpoint, struct arena *a,
                          struct json **ret, struct err *err) MUST_CHECK;

#endif
