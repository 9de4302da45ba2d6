/* Settings of a home: defaults of spec/settings.toml, then home/pawl.conf (YAML), the environment, flags; the later
 * wins. What is wrong is said with its place: a line of pawl.conf, a variable, a flag. */
#ifndef PAWL_APP_SETTINGS_H
#define PAWL_APP_SETTINGS_H

#include "app/setting_names.h"
#include "base/arena.h"
#include "base/str.h"

struct settings {
    const char *value[SETTING_N]; /* text, checked for its type; NULL: not set */
};

/* Reads all four. conf_path may name no file. args: flags only; each one that is none of the table's is an error. */
enum err_code settings_read(struct settings *ret, const char *conf_path, int n_args, char **args,
                            struct arena *a, struct err *err) MUST_CHECK;
int64_t settings_int(const struct settings *s, enum setting which, int64_t or_);
bool settings_bool(const struct settings *s, enum setting which);
/* "  --port INT   …" lines for help. */
void settings_help(struct buf *out);

#endif
