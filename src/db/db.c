#include "db/db_int.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"

/* Which driver an url means; the rest of the url for SQLite is its path. */
static enum err_code url_judge(const char *url, const struct db_driver **ret, const char **ret_path,
                               struct err *err)
{
    struct str u = str_c(url);
    *ret_path = NULL;
    if (str_starts(u, STR("sqlite:"))) {
        *ret = &DB_SQLITE;
        *ret_path = url + strlen("sqlite:");
        return **ret_path ? ERR_OK
                          : err_set(err, ERR_INVALID, "store url \"sqlite:\" names no file");
    }
    if (str_starts(u, STR("postgresql://")) || str_starts(u, STR("postgres://")) ||
        str_find(u, STR("host=")) >= 0 || str_find(u, STR("dbname=")) >= 0) {
        *ret = &DB_POSTGRES;
        return ERR_OK;
    }
    return err_set(err, ERR_INVALID,
                   "store url must be sqlite:PATH, postgresql://… or \"host=… dbname=…\"");
}

static enum err_code fields_fill(struct db *db, const struct db_options *opt, struct err *err)
{
    const char *path = NULL;
    enum err_code code = url_judge(opt->url, &db->drv, &path, err);
    if (code != ERR_OK)
        return code;
    db->url = strdup(opt->url);
    db->path = path ? strdup(path) : NULL;
    db->backup_dir = opt->backup_dir ? strdup(opt->backup_dir) : NULL;
    if (!db->url || (path && !db->path) || (opt->backup_dir && !db->backup_dir))
        return err_nomem(err);
    db->n_readers = opt->n_readers < 1                ? 1
                    : opt->n_readers > DB_READERS_MAX ? DB_READERS_MAX
                                                      : opt->n_readers;
    db->busy_ms = opt->busy_ms > 0 ? opt->busy_ms : 5000;
    db->may_migrate = opt->may_migrate;
    db->migrations = opt->migrations ? opt->migrations : DB_MIGRATIONS;
    db->n_migrations = opt->migrations ? opt->n_migrations : N_DB_MIGRATIONS;
    return ERR_OK;
}

/* Worth waiting for, when the caller can: not a newer schema, not damage. */
static bool is_passing(enum err_code code)
{
    return code == ERR_UNAVAILABLE || code == ERR_IO || code == ERR_TIMEOUT || code == ERR_CORRUPT;
}

enum err_code db_open(const struct db_options *opt, struct db **ret, struct err *err)
{
    struct db *db = calloc(1, sizeof(*db));
    if (!db)
        return err_nomem(err);
    mutex_init(&db->ready_lock, "db ready", DB_RANK_READY);
    enum err_code code = fields_fill(db, opt, err);
    if (code == ERR_OK) {
        code = db_ensure_ready(db, err);
        if (opt->may_be_down && is_passing(code))
            code = ERR_OK;
    }
    if (code == ERR_OK)
        code = db_readers_open(db, &db->readers, err);
    if (code == ERR_OK)
        code = db_writer_start(db, &db->writer, err);
    if (code != ERR_OK) {
        db_close(db);
        return code;
    }
    *ret = db;
    return ERR_OK;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    db_writer_stop(db->writer);
    db_readers_close(db->readers);
    mutex_fini(&db->ready_lock);
    free(db->url);
    free(db->path);
    free(db->backup_dir);
    free(db);
}

bool db_is_postgres(const struct db *db)
{
    return db->drv == &DB_POSTGRES;
}

int db_schema_version(const struct db *db)
{
    return db->schema_version;
}

enum err_code db_write(struct db *db, db_fn fn, void *arg, struct err *err)
{
    if (db->is_read_only)
        return err_set(err, ERR_UNSUPPORTED,
                       "the metadata store was made by a newer version of this program and may "
                       "only be read by this one");
    return db_writer_call(db->writer, fn, arg, err);
}

enum err_code db_read(struct db *db, db_fn fn, void *arg, struct err *err)
{
    return db_readers_call(db->readers, fn, arg, err);
}

enum err_code db_backup(struct db *db, const char *path, struct err *err)
{
    if (!db->path)
        return err_set(err, ERR_UNSUPPORTED,
                       "a PostgreSQL store is copied with pg_dump, not by this program");
    if (file_exists(path))
        return err_set(err, ERR_EXISTS, "%s is there already: choose another name", path);
    return db_copy_into(db, path, err);
}

static enum err_code ping_fn(struct db_tx *tx, void *arg, struct err *err)
{
    int64_t n = 0;
    return db_next_number(tx, "ping", &n, err);
}

enum err_code db_ping(struct db *db, struct err *err)
{
    return db_write(db, ping_fn, NULL, err);
}
