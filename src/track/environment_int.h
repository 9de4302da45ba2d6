/* Inside track/: pieces of the environment record. */
#ifndef PAWL_TRACK_ENVIRONMENT_INT_H
#define PAWL_TRACK_ENVIRONMENT_INT_H

#include "track/environment.h"

/* ---- capture.c ---- */
struct capture {
    const char *const *argv; /* NULL-terminated */
    const char *cwd;         /* NULL: ours */
    int64_t timeout_ms;
    size_t limit; /* bytes of output kept; more of it ends the command */
    bool with_stderr;
};
/* True when it ran and ended well (or was cut at the limit). ret_is_cut may be NULL. */
bool capture_run(const struct capture *c, struct arena *a, struct str *ret, bool *ret_is_cut);

/* ---- environment_code.c ---- */
/* {"commit","branch","is_dirty",…}, or NULL where there is no git tree; the diff in *ret_diff. */
struct json *environment_code(const char *dir, struct arena *a, struct str *ret_diff);
/* The text with what looks like a secret blanked out; in the arena. */
struct str environment_redact(struct str text, struct arena *a, size_t *ret_n_redacted);

/* ---- environment_host.c ---- */
struct json *environment_host(struct arena *a);

#endif
