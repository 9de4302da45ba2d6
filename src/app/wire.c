#include "app/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "access/access.h"
#include "alert/sender.h"
#include "app/listen.h"
#include "audit/chain.h"
#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "blob/blob.h"
#include "db/db.h"
#include "features/online.h"
#include "feedback/label.h"
#include "feedback/log.h"
#include "job/worker.h"
#include "loop/loop.h"
#include "monitor/monitor.h"
#include "pipeline/run.h"
#include "registry/registry.h"
#include "release/control.h"
#include "serve/serve.h"
#include "track/track.h"

#define WIRE_ARENA_BYTES (64U << 20)
#define WORKER_IDLE_MS   60000
#define DRAIN_MS         10000

struct wiring {
    struct arena arena; /* paths and texts of this wiring */
    struct services sv;
    struct home home;
    struct listener *listener; /* NULL: not listening */
    struct listener *serving;  /* the plane of predictions alone; NULL: none */
    struct pipeline_host pipeline;
    struct wire_options opt;
    atomic_bool is_stopping;
    char instance[37];
    size_t n_open; /* parts open, from the front of PARTS */
};

struct part {
    const char *name;
    bool is_store; /* needs the database */
    enum err_code (*open)(struct wiring *w, struct err *err);
    void (*close)(struct wiring *w);
};

/* home/name in the wiring's arena; CHECKed, since the arena is far larger than all paths. */
static char *in_home(struct wiring *w, const char *name)
{
    char *path = path_join(&w->arena, w->home.path, name);
    CHECK(path != NULL);
    return path;
}

static enum err_code open_lock(struct wiring *w, struct err *err)
{
    return home_lock(&w->home, w->opt.lock_wait_ms, err);
}

static void close_lock(struct wiring *w)
{
    home_unlock(&w->home);
}

static enum err_code open_access(struct wiring *w, struct err *err)
{
    return access_open(w->home.path, &w->sv.access, err);
}

static void close_access(struct wiring *w)
{
    access_close(w->sv.access);
    w->sv.access = NULL;
}

static enum err_code open_blobs(struct wiring *w, struct err *err)
{
    enum err_code code = blob_open(in_home(w, "store"), &w->sv.blobs, err);
    w->pipeline.blobs = w->sv.blobs;
    return code;
}

static void close_blobs(struct wiring *w)
{
    blob_close(w->sv.blobs);
    w->sv.blobs = NULL;
}

static enum err_code open_pool(struct wiring *w, struct err *err)
{
    struct worker_pool_options opt = {.n_max = (int)settings_int(w->opt.settings, SET_JOBS, 2),
                                      .idle_ms = WORKER_IDLE_MS,
                                      .memory_bytes =
                                          settings_int(w->opt.settings, SET_JOB_MEMORY, 0)};
    enum err_code code = worker_pool_open(&opt, &w->sv.pool, err);
    w->pipeline.pool = w->sv.pool;
    return code;
}

static void close_pool(struct wiring *w)
{
    worker_pool_close(w->sv.pool);
    w->sv.pool = NULL;
}

static enum err_code open_journal(struct wiring *w, struct err *err)
{
    int64_t cut = 0;
    enum err_code code = journal_open(in_home(w, "decisions.log"), &w->sv.journal, &cut, err);
    if (code == ERR_OK && cut > 0)
        log_write(LOG_WARN, "journal.cut",
                  "%lld bytes of a decision that was never acknowledged were cut", (long long)cut);
    return code;
}

static void close_journal(struct wiring *w)
{
    journal_close(w->sv.journal);
    w->sv.journal = NULL;
}

static enum err_code open_online(struct wiring *w, struct err *err)
{
    struct online_options opt = {.dir = in_home(w, "online")};
    return online_open(&opt, &w->sv.online, err);
}

static void close_online(struct wiring *w)
{
    online_close(w->sv.online);
    w->sv.online = NULL;
}

static enum err_code open_log(struct wiring *w, struct err *err)
{
    struct feedback_log_options opt = {.dir = in_home(w, "predictions"), .may_write = true};
    return feedback_log_open(&opt, &w->sv.log, err);
}

static void close_log(struct wiring *w)
{
    feedback_log_close(w->sv.log);
    w->sv.log = NULL;
}

static enum err_code open_labels(struct wiring *w, struct err *err)
{
    struct label_log_options opt = {.dir = in_home(w, "predictions/labels"), .may_write = true};
    return label_log_open(&opt, &w->sv.labels, err);
}

static void close_labels(struct wiring *w)
{
    label_log_close(w->sv.labels);
    w->sv.labels = NULL;
}

/* Serving decides by itself in an emergency; the scheduler then looks soon. */
static void tell_loop(void *arg, enum serve_event ev, const char *endpoint, uint64_t generation,
                      const char *text)
{
    struct wiring *w = arg;
    if (ev != SERVE_EV_DECIDED)
        log_write(LOG_WARN, ev == SERVE_EV_FUSE ? "serve.fuse" : "serve.journal", "%s: %s",
                  endpoint, text ? text : "");
    if (w->sv.loop)
        loop_wake(w->sv.loop);
}

static enum err_code open_serve(struct wiring *w, struct err *err)
{
    struct serve_options opt = {.dir = in_home(w, "serving"),
                                .blobs = w->sv.blobs,
                                .online = w->sv.online,
                                .journal = w->sv.journal,
                                .log = w->sv.log,
                                .sink = {.tell = tell_loop, .arg = w},
                                .is_replay = w->home.is_replay};
    return serve_open(&opt, &w->sv.serve, err);
}

static void close_serve(struct wiring *w)
{
    serve_close(w->sv.serve);
    w->sv.serve = NULL;
}

static enum err_code open_monitor(struct wiring *w, struct err *err)
{
    struct monitor_options opt = {.log = w->sv.log,
                                  .labels = w->sv.labels,
                                  .serve = w->sv.serve,
                                  .blobs = w->sv.blobs,
                                  .clock = *w->sv.clock,
                                  .is_replay = w->home.is_replay};
    return monitor_open(&opt, &w->sv.monitor, err);
}

static void close_monitor(struct wiring *w)
{
    monitor_close(w->sv.monitor);
    w->sv.monitor = NULL;
}

static enum err_code open_release(struct wiring *w, struct err *err)
{
    struct release_host_options opt = {.home = w->home.path,
                                       .journal = w->sv.journal,
                                       .serve = w->sv.serve,
                                       .monitor = w->sv.monitor,
                                       .blobs = w->sv.blobs,
                                       .pipeline = &w->pipeline,
                                       .clock = *w->sv.clock};
    return release_host_open(&opt, &w->sv.release, err);
}

static void close_release(struct wiring *w)
{
    release_host_close(w->sv.release);
    w->sv.release = NULL;
}

static enum err_code open_loop(struct wiring *w, struct err *err)
{
    struct loop *loop = NULL;
    struct loop_options opt = {.home = w->sv.home,
                               .root = w->sv.root,
                               .serve = w->sv.serve,
                               .monitor = w->sv.monitor,
                               .release = w->sv.release,
                               .pipeline = &w->pipeline,
                               .online = w->sv.online,
                               .blobs = w->sv.blobs,
                               .pool = w->sv.pool,
                               .clock = *w->sv.clock,
                               .is_replay = w->home.is_replay};
    enum err_code code = loop_open(&opt, &loop, err);
    w->sv.loop = loop;
    return code;
}

static void close_loop(struct wiring *w)
{
    struct loop *loop = w->sv.loop;
    w->sv.loop = NULL;
    loop_close(loop);
}

/* ---- store parts ---- */
static enum err_code open_db(struct wiring *w, struct err *err)
{
    const char *url = w->opt.settings->value[SET_DATABASE];
    const char *file = in_home(w, "pawl.db");
    struct db *db = NULL;
    if (!url)
        url = str_printf(&w->arena, "sqlite:%s", file);
    /* A reading command never migrates; a store that is not there yet is made by whoever comes first. */
    struct db_options opt = {.url = url,
                             .n_readers = w->opt.role == WIRE_SERVER ? 4 : 1,
                             .busy_ms = 5000,
                             .may_migrate =
                                 w->opt.may_migrate || w->opt.role == WIRE_SERVER ||
                                 (!w->opt.settings->value[SET_DATABASE] && !file_exists(file)),
                             .backup_dir = in_home(w, "backup")};
    enum err_code code = db_open(&opt, &db, err);
    if (code != ERR_OK)
        return code;
    w->pipeline.db = db;
    w->sv.db = db;
    return ERR_OK;
}

static void close_db(struct wiring *w)
{
    struct db *db = w->sv.db;
    w->sv.db = NULL;
    w->pipeline.db = NULL;
    db_close(db);
}

static enum err_code open_audit(struct wiring *w, struct err *err)
{
    struct audit_chain *audit = NULL;
    enum err_code code = audit_open(w->sv.db, w->home.path, w->sv.clock, &audit, err);
    w->sv.audit = audit;
    return code;
}

static void close_audit(struct wiring *w)
{
    struct audit_chain *audit = w->sv.audit;
    w->sv.audit = NULL;
    audit_close(audit);
}

static enum err_code open_track(struct wiring *w, struct err *err)
{
    struct track *track = NULL;
    enum err_code code = track_open(w->sv.db, in_home(w, "artifacts"), w->sv.clock, &track, err);
    w->sv.track = track;
    w->pipeline.track = track;
    return code;
}

static void close_track(struct wiring *w)
{
    struct track *track = w->sv.track;
    w->sv.track = NULL;
    w->pipeline.track = NULL;
    track_close(track);
}

static enum err_code open_registry(struct wiring *w, struct err *err)
{
    struct registry *registry = NULL;
    enum err_code code = registry_open(w->sv.db, w->sv.blobs, w->sv.clock, &registry, err);
    w->sv.registry = registry;
    w->pipeline.registry = registry;
    return code;
}

static void close_registry(struct wiring *w)
{
    struct registry *registry = w->sv.registry;
    w->sv.registry = NULL;
    w->pipeline.registry = NULL;
    registry_close(registry);
}

static enum err_code open_sender(struct wiring *w, struct err *err)
{
    struct alert_sender *sender = NULL;
    struct alert_sender_options opt = {
        .db = w->sv.db, .post = alert_post_http(), .clock = w->sv.clock, .external_url = w->sv.url};
    enum err_code code = alert_sender_open(&opt, &sender, err);
    if (code == ERR_OK && w->opt.role == WIRE_SERVER) {
        code = alert_sender_start(sender, err);
        if (code != ERR_OK)
            alert_sender_close(sender);
    }
    w->sv.sender = code == ERR_OK ? sender : NULL;
    return code;
}

static void close_sender(struct wiring *w)
{
    struct alert_sender *sender = w->sv.sender;
    w->sv.sender = NULL;
    alert_sender_close(sender);
}

/* The parts that were opened without the database hear that it is there. */
static enum err_code open_projection(struct wiring *w, struct err *err)
{
    enum err_code code = monitor_attach(w->sv.monitor, w->sv.db, err);
    if (code == ERR_OK)
        code = release_host_attach(w->sv.release, w->sv.db, w->sv.audit, err);
    if (code == ERR_OK)
        loop_attach(w->sv.loop, w->sv.db, &w->pipeline, w->sv.sender);
    if (code == ERR_OK && w->opt.role == WIRE_SERVER)
        code = monitor_start(w->sv.monitor, err);
    return code;
}

/* They end before the database does: the monitor's last sums are committed to it. */
static void close_projection(struct wiring *w)
{
    close_loop(w);
    close_release(w);
    close_monitor(w);
}

static const struct part PARTS[] = {
    {"lock", false, open_lock, close_lock},
    {"token", false, open_access, close_access},
    {"store", false, open_blobs, close_blobs},
    {"workers", false, open_pool, close_pool},
    {"decision journal", false, open_journal, close_journal},
    {"online store", false, open_online, close_online},
    {"prediction log", false, open_log, close_log},
    {"label log", false, open_labels, close_labels},
    {"serving", false, open_serve, close_serve},
    {"monitor", false, open_monitor, close_monitor},
    {"releases", false, open_release, close_release},
    {"scheduler", false, open_loop, close_loop},
    {"database", true, open_db, close_db},
    {"audit chain", true, open_audit, close_audit},
    {"tracking", true, open_track, close_track},
    {"registry", true, open_registry, close_registry},
    {"alerts", true, open_sender, close_sender},
    {"projection", true, open_projection, close_projection},

};

/* Opens parts in order until the first that fails or belongs to a later stage. */
static enum err_code open_parts(struct wiring *w, bool with_store, struct err *err)
{
    while (w->n_open < ARRAY_LEN(PARTS)) {
        const struct part *p = &PARTS[w->n_open];
        if (p->is_store && !with_store)
            break;
        enum err_code code = p->open(w, err);
        if (code != ERR_OK)
            return err_wrap(err, "%s", p->name);
        w->n_open++;
    }
    return ERR_OK;
}

enum err_code wire_attach(struct wiring *w, struct err *err)
{
    return open_parts(w, true, err);
}

/* A command that runs somebody's program gives it an address to log to, for as long as the command runs. */
static enum err_code listen_for_children(struct services *sv, struct err *err)
{
    struct wiring *w = (struct wiring *)((char *)sv - offsetof(struct wiring, sv));
    return sv->url ? ERR_OK : wire_listen(w, err);
}

static enum err_code fill_services(struct wiring *w, struct err *err)
{
    uint8_t id[16];
    uuid7(clock_now_us(&CLOCK_SYSTEM), id);
    uuid_text(id, w->instance);
    w->sv.instance = w->instance;
    w->sv.clock = &CLOCK_SYSTEM;
    w->sv.is_server = w->opt.role == WIRE_SERVER;
    w->sv.is_stopping = &w->is_stopping;
    w->sv.pipeline = &w->pipeline;
    w->pipeline.clock = w->sv.clock;
    w->pipeline.instance = w->instance;
    if (!w->opt.home)
        return ERR_OK;
    w->sv.listen = listen_for_children;
    enum err_code code = home_open(w->opt.home, &w->arena, &w->home, err);
    if (code != ERR_OK)
        return code;
    w->sv.home = w->home.path;
    w->pipeline.home = w->home.path;
    w->sv.is_replay = w->home.is_replay;
    char *root = str_dup(&w->arena, str_c(w->opt.root ? w->opt.root : w->home.path));
    if (!root)
        return arena_err(&w->arena, err);
    char *slash = w->opt.root ? NULL : strrchr(root, '/');
    if (slash)
        *(slash == root ? slash + 1 : slash) = '\0';
    w->sv.root = root;
    return ERR_OK;
}

enum err_code wire_open(const struct wire_options *opt, struct wiring **ret, struct err *err)
{
    struct wiring *w = calloc(1, sizeof *w);
    if (!w)
        return err_nomem(err);
    arena_init(&w->arena, WIRE_ARENA_BYTES);
    w->opt = *opt;
    w->home.lock_fd = -1;
    enum err_code code = fill_services(w, err);
    if (code == ERR_OK && opt->home)
        code = open_parts(w, opt->role == WIRE_COMMAND, err);
    else if (code == ERR_OK)
        code = open_pool(w, err);
    if (code != ERR_OK) {
        wire_close(w);
        return code;
    }
    *ret = w;
    return ERR_OK;
}

void wire_close(struct wiring *w)
{
    if (!w)
        return;
    atomic_store(&w->is_stopping, true);
    listener_close(w->serving, DRAIN_MS);
    listener_close(w->listener, DRAIN_MS);
    w->sv.server = NULL;
    if (w->n_open == 0)
        close_pool(w); /* of a command without a home */
    while (w->n_open > 0)
        PARTS[--w->n_open].close(w);
    arena_fini(&w->arena);
    free(w);
}

struct services *wire_services(struct wiring *w)
{
    return &w->sv;
}

struct home *wire_home(struct wiring *w)
{
    return &w->home;
}

enum err_code wire_listen(struct wiring *w, struct err *err)
{
    const struct settings *set = w->opt.settings;
    bool is_server = w->opt.role == WIRE_SERVER;
    struct listen_options all = {.settings = set,
                                 .plane = LISTEN_ALL,
                                 .host = is_server ? NULL : "127.0.0.1",
                                 .port = is_server ? (int)settings_int(set, SET_PORT, 5000) : 0};
    enum err_code code = listener_open(&w->sv, &all, &w->listener, err);
    if (code != ERR_OK)
        return code;
    w->sv.server = listener_server(w->listener);
    w->sv.url = listener_url(w->listener);
    w->pipeline.tracking_uri = w->sv.url;
    w->pipeline.tracking_token = access_token(w->sv.access);
    if (!is_server || !set->value[SET_SERVE_PORT])
        return ERR_OK;
    struct listen_options serving = {.settings = set,
                                     .plane = LISTEN_SERVING,
                                     .port = (int)settings_int(set, SET_SERVE_PORT, 0)};
    return listener_open(&w->sv, &serving, &w->serving, err);
}
