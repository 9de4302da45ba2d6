/* A store on a bad day: killed, locked, full, gone, replaced, hung. Each time: a clean error, nothing acknowledged lost,
 * and it goes on by itself when the store is back. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "fixture/home.h"

static const char *const LITE[] = {"CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT) STRICT",
                                   NULL};
static const char *const PG[] = {"CREATE TABLE t (id BIGINT PRIMARY KEY, body TEXT)", NULL};
static const struct db_migration STEPS[] = {{1, "only", 1, 1, LITE, PG}};

struct fixture {
    char dir[64], path[96], url[POSTGRES_URL_BYTES];
};

static int setup(void **state)
{
    static struct fixture f;
    snprintf(f.dir, sizeof(f.dir), "/tmp/pawl-fault-XXXXXX");
    CHECK(mkdtemp(f.dir));
    snprintf(f.path, sizeof(f.path), "%s/t.db", f.dir);
    snprintf(f.url, sizeof(f.url), "sqlite:%s", f.path);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(dir_remove(f->dir, NULL), ERR_OK);
    return 0;
}

static struct db *open_store(const char *url, bool may_be_down)
{
    struct db_options opt = {.url = url,
                             .n_readers = 2,
                             .busy_ms = 200,
                             .may_migrate = true,
                             .may_be_down = may_be_down,
                             .migrations = STEPS,
                             .n_migrations = 1};
    struct db *db = NULL;
    struct err err = ERR_INIT;
    ASSERT_OK(db_open(&opt, &db, &err), &err);
    return db;
}

struct put {
    int64_t id;
    struct str body;
};

static enum err_code put_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct put *p = arg;
    return db_exec(tx, err, "INSERT INTO t(id, body) VALUES (?, ?)", "it", p->id, p->body);
}

static enum err_code put(struct db *db, int64_t id, struct err *err)
{
    struct put p = {id, STR("x")};
    return db_write(db, put_fn, &p, err);
}

static enum err_code count_fn(struct db_tx *tx, void *arg, struct err *err)
{
    return db_get_i64(tx, arg, err, "SELECT count(*) FROM t", "");
}

static enum err_code count(struct db *db, int64_t *ret, struct err *err)
{
    return db_read(db, count_fn, ret, err);
}

static int64_t counted(struct db *db)
{
    int64_t n = -1;
    struct err err = ERR_INIT;
    ASSERT_OK(count(db, &n, &err), &err);
    return n;
}

/* ---- kill -9 ---- */

/* Writes without end and says on the pipe what was acknowledged. */
static void write_until_killed(const char *url, int out)
{
    struct db *db = open_store(url, false);
    for (int64_t i = 0;; i++)
        if (put(db, i, NULL) != ERR_OK || write(out, &i, sizeof(i)) != sizeof(i))
            _exit(1);
}

static void kill_9_loses_nothing_acknowledged(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 5; round++) {
        int fds[2];
        int64_t id, last = -1;
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(fds[0]);
            write_until_killed(f->url, fds[1]);
        }
        close(fds[1]);
        /* A different moment each round; the rest of the pipe is what it said before it died. */
        for (int i = 0; i < 20 + round * 7; i++) {
            assert_int_equal(read(fds[0], &id, sizeof(id)), sizeof(id));
            last = id;
        }
        kill(pid, SIGKILL);
        while (read(fds[0], &id, sizeof(id)) == sizeof(id))
            last = id;
        close(fds[0]);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        struct db *db = open_store(f->url, false);
        int64_t n = counted(db);
        assert_in_range(n, last + 1, last + 2); /* one may be committed and not yet acknowledged */
        assert_int_equal(db_ping(db, NULL), ERR_OK);
        db_close(db);
        sqlite3 *raw = NULL;
        assert_int_equal(sqlite3_open(f->path, &raw), SQLITE_OK);
        assert_int_equal(sqlite3_exec(raw, "DELETE FROM t", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(raw);
    }
}

/* ---- locks ---- */

static void a_locked_store_is_unavailable_and_then_works(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    sqlite3 *other = NULL;
    struct db *db = open_store(f->url, false);
    assert_int_equal(put(db, 1, &err), ERR_OK);
    assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(put(db, 2, &err), ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "another process holds its lock"));
    assert_int_equal(counted(db), 1); /* readers go on */
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    ASSERT_OK(put(db, 2, &err), &err);
    assert_int_equal(counted(db), 2);
    db_close(db);
}

/* ---- the file itself ---- */

static void a_store_that_is_away_comes_back(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    char away[128];
    int64_t n;
    struct db *db = open_store(f->url, false);
    assert_int_equal(put(db, 1, &err), ERR_OK);
    snprintf(away, sizeof(away), "%s/elsewhere.db", f->dir);
    assert_int_equal(rename(f->path, away), 0);
    assert_int_equal(put(db, 2, &err), ERR_UNAVAILABLE);
    assert_int_equal(count(db, &n, &err), ERR_UNAVAILABLE);
    assert_false(file_exists(f->path)); /* not silently made anew */
    assert_int_equal(rename(away, f->path), 0);
    ASSERT_OK(put(db, 2, &err), &err);
    assert_int_equal(counted(db), 2);
    db_close(db);
}

static void a_store_restored_from_a_backup_is_seen(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    char copy[128];
    struct db *db = open_store(f->url, false);
    snprintf(copy, sizeof(copy), "%s/it's a copy.db", f->dir);
    assert_int_equal(put(db, 1, &err), ERR_OK);
    ASSERT_OK(db_backup(db, copy, &err), &err);
    assert_int_equal(db_backup(db, copy, &err), ERR_EXISTS);
    assert_int_equal(put(db, 2, &err), ERR_OK);
    db_close(db);
    db = open_store(f->url, false);
    assert_int_equal(counted(db), 2);
    char beside[128];
    static const char *const BESIDE[] = {"-wal", "-shm"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(beside, sizeof(beside), "%s%s", f->path, BESIDE[i]);
        unlink(beside);
    }
    assert_int_equal(rename(copy, f->path), 0);
    assert_int_equal(counted(db), 1);
    ASSERT_OK(put(db, 3, &err), &err);
    assert_int_equal(counted(db), 2);
    db_close(db);
}

static void garbage_is_named_as_damage_and_repair_is_seen(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    char good[128], junk[8192];
    int64_t n;
    struct db *db = open_store(f->url, false);
    assert_int_equal(put(db, 1, &err), ERR_OK);
    snprintf(good, sizeof(good), "%s/good.db", f->dir);
    ASSERT_OK(db_backup(db, good, &err), &err);
    memset(junk, 'J', sizeof(junk));
    char aside[128];
    snprintf(aside, sizeof(aside), "%s/junk.db", f->dir);
    ASSERT_OK(file_write(aside, str_n(junk, sizeof(junk)), 0600, &err), &err);
    assert_int_equal(rename(aside, f->path), 0);
    assert_int_equal(count(db, &n, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "damaged"));
    assert_int_equal(put(db, 2, &err), ERR_CORRUPT);
    assert_int_equal(rename(good, f->path), 0);
    assert_int_equal(counted(db), 1);
    ASSERT_OK(put(db, 2, &err), &err);
    db_close(db);
}

static void a_server_may_start_before_its_store(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    int64_t n;
    char sub[128], url[160];
    snprintf(sub, sizeof(sub), "%s/not-mounted", f->dir);
    snprintf(url, sizeof(url), "sqlite:%s/t.db", sub);
    struct db *db = open_store(url, true);
    assert_int_equal(count(db, &n, &err), ERR_UNAVAILABLE);
    assert_int_equal(put(db, 1, &err), ERR_UNAVAILABLE);
    assert_int_equal(mkdir(sub, 0700), 0);
    ASSERT_OK(put(db, 1, &err), &err);
    assert_int_equal(counted(db), 1);
    db_close(db);
}

/* ---- a VFS that fails the k-th write or sync, or has no room ---- */

static struct {
    atomic_int left; /* calls until it fails; < 0: never */
    atomic_int n_injected;
    int code;        /* what the failing calls give */
    bool is_lasting; /* every later call fails too */
} fault;

static const sqlite3_io_methods *real_methods[2];
static sqlite3_io_methods shim_methods[2];

static int fault_now(void)
{
    if (atomic_load(&fault.left) < 0)
        return SQLITE_OK;
    int left = atomic_fetch_sub(&fault.left, 1);
    if (left == 0)
        atomic_fetch_add(&fault.n_injected, 1);
    if (left == 0)
        atomic_store(&fault.left, fault.is_lasting ? 0 : -1);
    return left == 0 ? fault.code : SQLITE_OK;
}

static int which(sqlite3_file *file)
{
    return file->pMethods == &shim_methods[1];
}

static int shim_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 at)
{
    int rc = fault_now();
    return rc ? rc : real_methods[which(file)]->xWrite(file, p, n, at);
}

static int shim_sync(sqlite3_file *file, int flags)
{
    int rc = fault_now();
    return rc ? (rc == SQLITE_FULL ? SQLITE_IOERR_FSYNC : rc)
              : real_methods[which(file)]->xSync(file, flags);
}

static sqlite3_vfs shim_vfs, *real_vfs;

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    int rc = real_vfs->xOpen(real_vfs, name, file, flags, out);
    int slot = (flags & SQLITE_OPEN_MAIN_DB) ? 0 : 1;
    if (rc != SQLITE_OK || !file->pMethods)
        return rc;
    if (!real_methods[slot]) {
        real_methods[slot] = file->pMethods;
        shim_methods[slot] = *file->pMethods;
        shim_methods[slot].xWrite = shim_write;
        shim_methods[slot].xSync = shim_sync;
    }
    file->pMethods = &shim_methods[slot];
    return rc;
}

static void shim_install(void)
{
    fault.left = -1;
    real_vfs = sqlite3_vfs_find(NULL);
    shim_vfs = *real_vfs;
    shim_vfs.zName = "fault";
    shim_vfs.xOpen = shim_open;
    assert_int_equal(sqlite3_vfs_register(&shim_vfs, 1), SQLITE_OK);
}

static void shim_remove(void)
{
    sqlite3_vfs_unregister(&shim_vfs);
    sqlite3_vfs_register(real_vfs, 1);
}

/* The k-th write or sync fails once (the group is run again, nobody notices) or from then on. */
static void every_failing_write_and_sync_is_clean(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    int64_t id = 0, n_ok = 0;
    int n_failed = 0;
    shim_install();
    struct db *db = open_store(f->url, false);
    for (int k = 0; k < 8; k++)
        for (int kind = 0; kind < 4; kind++) {
            fault.code = kind & 1 ? SQLITE_IOERR_WRITE : SQLITE_FULL;
            fault.is_lasting = (kind & 2) != 0;
            fault.left = k;
            enum err_code code = put(db, id++, &err);
            fault.left = -1;
            n_ok += code == ERR_OK;
            n_failed += code != ERR_OK;
            assert_true(code == ERR_OK || code == ERR_IO);
            ASSERT_OK(put(db, id++, &err), &err);
            n_ok++;
            /* What was refused is absent, what was acknowledged is there. */
            assert_int_equal(counted(db), n_ok);
        }
    assert_true(n_failed > 0);
    assert_true(fault.n_injected > n_failed);
    db_close(db);
    db = open_store(f->url, false);
    assert_int_equal(counted(db), n_ok);
    db_close(db);
    shim_remove();
}

static void a_full_disk_is_said_and_room_is_enough(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    shim_install();
    struct db *db = open_store(f->url, false);
    assert_int_equal(put(db, 1, &err), ERR_OK);
    fault.code = SQLITE_FULL;
    fault.is_lasting = true;
    fault.left = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(put(db, 2, &err), ERR_IO);
        assert_non_null(strstr(err.msg, "disk is full"));
    }
    assert_int_equal(counted(db), 1); /* reading needs no room */
    fault.left = -1;
    ASSERT_OK(put(db, 2, &err), &err);
    assert_int_equal(counted(db), 2);
    db_close(db);
    shim_remove();
}

/* ---- PostgreSQL ---- */

static struct postgres *pg;

static void an_outage_of_the_server_passes(void **state)
{
    struct err err = ERR_INIT;
    char url[POSTGRES_URL_BYTES];
    int64_t n;
    if (!pg)
        skip();
    assert_true(postgres_database(pg, url));
    struct db *db = open_store(url, false);
    ASSERT_OK(put(db, 1, &err), &err);
    assert_int_equal(counted(db), 1);
    assert_true(postgres_down(pg));
    assert_int_equal(put(db, 2, &err), ERR_UNAVAILABLE);
    assert_int_equal(count(db, &n, &err), ERR_UNAVAILABLE);
    assert_true(postgres_up(pg));
    ASSERT_OK(put(db, 2, &err), &err);
    assert_int_equal(counted(db), 2);
    db_close(db);
}

/* The connection dies in the middle of a callback: it is run again on a new one. */
static enum err_code cut_once(struct db_tx *tx, void *arg, struct err *err)
{
    int *n_calls = arg;
    int64_t pid = 0;
    enum err_code code = db_exec(tx, err, "INSERT INTO t(id) VALUES (7)", "");
    if (code == ERR_OK && (*n_calls)++ == 0)
        code = db_get_i64(tx, &pid, err,
                          "SELECT CAST(pg_terminate_backend(pg_backend_pid()) AS INT)", "");
    return code;
}

static void a_cut_connection_is_made_anew(void **state)
{
    struct err err = ERR_INIT;
    char url[POSTGRES_URL_BYTES];
    int n_calls = 0;
    if (!pg)
        skip();
    assert_true(postgres_database(pg, url));
    struct db *db = open_store(url, false);
    ASSERT_OK(db_write(db, cut_once, &n_calls, &err), &err);
    assert_int_equal(n_calls, 2);
    assert_int_equal(counted(db), 1);
    db_close(db);
}

static void a_server_that_is_not_there_is_unavailable(void **state)
{
    struct err err = ERR_INIT;
    int64_t n;
    struct db *db = open_store("host=/nonexistent user=pawl dbname=x", true);
    assert_int_equal(count(db, &n, &err), ERR_UNAVAILABLE);
    assert_int_equal(put(db, 1, &err), ERR_UNAVAILABLE);
    db_close(db);
}

static int start_server(void **state)
{
    pg = postgres_start();
    return 0;
}

static int stop_server(void **state)
{
    postgres_stop(pg);
    return 0;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(kill_9_loses_nothing_acknowledged),
        CASE(a_locked_store_is_unavailable_and_then_works),
        CASE(a_store_that_is_away_comes_back),
        CASE(a_store_restored_from_a_backup_is_seen),
        CASE(garbage_is_named_as_damage_and_repair_is_seen),
        CASE(a_server_may_start_before_its_store),
        CASE(every_failing_write_and_sync_is_clean),
        CASE(a_full_disk_is_said_and_room_is_enough),
        CASE(an_outage_of_the_server_passes),
        CASE(a_cut_connection_is_made_anew),
        CASE(a_server_that_is_not_there_is_unavailable),
    };
    return cmocka_run_group_tests_name("db_fault", tests, start_server, stop_server);
}
