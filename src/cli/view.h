/* How an answer is shown to a person. A row of CLI_VIEWS gives a command a renderer of its own (one file per command,
 * cli/view_NAME.c); all others get cli_view_generic: a list as a table, an object as names and values.
 * Renderers write into a buffer and never fail: what a document lacks is left out. */
#ifndef PAWL_CLI_VIEW_H
#define PAWL_CLI_VIEW_H

#include "api/op.h"

struct cli_page {
    struct buf *out;
    size_t width; /* of the terminal; 100 when there is none */
};

struct cli_view {
    const char *command; /* "status" */
    void (*show)(const struct cli_page *p, const struct json *doc);
};

extern const struct cli_view CLI_VIEWS[];
extern const size_t N_CLI_VIEWS;

void cli_view_show(const struct cli_page *p, const struct op_route *r, const struct json *doc);
void cli_view_generic(const struct cli_page *p, const struct json *doc, const char *const *columns);

/* Pieces for renderers. */
/* A value as a person reads it: times without T and Z, digests cut to 12, units from the name (_us, _bytes, share). */
void cli_cell(struct arena *a, const char *name, const struct json *v, struct str *ret);
/* Rows (objects) as aligned columns; columns NULL-terminated, or NULL: every scalar member in order of appearance. */
void cli_table(const struct cli_page *p, const struct json *rows, const char *const *columns);
/* Columns a text takes on a terminal: characters, not bytes. */
size_t cli_text_width(struct str s);

#endif
