/* `pawl replay FILE… --endpoint E --time COLUMN`: rows of a file as live traffic, in the order of their time.
 *
 * Each row is one request of the Open Inference Protocol with an id of its own; labels are pushed with the time at which they
 * are known, so that a server holds them until then; the endpoint's clock is advanced at each tick, after every request
 * before it has been answered. A request whose answer was lost with the server is sent again with the same id. */
#ifndef PAWL_CLI_REPLAY_H
#define PAWL_CLI_REPLAY_H

#include "cli/cli.h"

/* args: what stands behind the word. The exit status; the summary goes to stdout, as JSON with g->is_json. */
int cli_replay(const struct cli_globals *g, const struct cli_target *t, int n, char **args);

#endif
