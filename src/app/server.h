/* `pawl server` and `pawl up`: the home's owner, listening. */
#ifndef PAWL_APP_SERVER_H
#define PAWL_APP_SERVER_H

#include "app/wire.h"

struct server_options {
    const char *home; /* absolute; there */
    const char *root; /* project to schedule from the start; NULL: only what is pushed */
    const struct settings *settings;
};

/* Runs until SIGTERM or SIGINT; the exit status. */
int server_run(const struct server_options *opt);

#endif
