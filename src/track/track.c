#include <stdlib.h>

#include "base/file.h"
#include "track/track_int.h"

struct default_args {
    int64_t at_us;
};

/* MLflow's clients fall back to experiment 0, so it is always there. */
static enum err_code default_make(struct db_tx *tx, void *arg, struct err *err)
{
    const struct default_args *d = arg;
    return db_exec(tx, err,
                   "INSERT INTO experiments(id, name, is_deleted, created_us, updated_us)"
                   " VALUES (0, 'Default', 0, ?, ?) ON CONFLICT (id) DO NOTHING",
                   "ii", d->at_us, d->at_us);
}

static enum err_code default_look(struct db_tx *tx, void *arg, struct err *err)
{
    int64_t id;
    return db_get_i64(tx, &id, err, "SELECT id FROM experiments WHERE id = 0", "");
}

enum err_code track_open(struct db *db, const char *artifacts_dir, const struct clock *clock,
                         struct track **ret, struct err *err)
{
    struct track *t = calloc(1, sizeof(*t));
    if (!t)
        return err_nomem(err);
    t->db = db;
    t->clock = *clock;
    t->artifacts_dir = strdup(artifacts_dir);
    enum err_code code = t->artifacts_dir ? dir_make(artifacts_dir, 0700, err) : err_nomem(err);
    if (code == ERR_OK && db_read(db, default_look, NULL, NULL) == ERR_NOT_FOUND) {
        struct default_args args = {clock_now_us(clock)};
        code = db_write(db, default_make, &args, err);
        if (code == ERR_UNAVAILABLE || code == ERR_UNSUPPORTED)
            code = ERR_OK; /* a store that is away or read-only: the next opening does it */
    }
    if (code != ERR_OK) {
        track_close(t);
        return code;
    }
    *ret = t;
    return ERR_OK;
}

void track_close(struct track *t)
{
    if (!t)
        return;
    free(t->artifacts_dir);
    free(t);
}

struct db *track_db(struct track *t)
{
    return t->db;
}
