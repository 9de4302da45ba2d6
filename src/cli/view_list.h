/* The renderers of single commands, for the table in view_list.c. */
#ifndef PAWL_CLI_VIEW_LIST_H
#define PAWL_CLI_VIEW_LIST_H

#include "cli/view.h"

void cli_view_text(const struct cli_page *p, const struct json *doc);
void cli_view_run(const struct cli_page *p, const struct json *doc);
void cli_view_release(const struct cli_page *p, const struct json *doc);
void cli_view_status(const struct cli_page *p, const struct json *doc);
void cli_view_problems(const struct cli_page *p, const struct json *doc);

#endif
