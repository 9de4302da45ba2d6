/* check, run, reproduce, steps ls, init: the pipeline of the project in a folder, or of a stored revision. */
#include "api/op_handlers.h"
#include "api/services.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/vec.h"
#include "config/config.h"
#include "data/version.h"
#include "pipeline/check.h"
#include "pipeline/fresh.h"
#include "pipeline/init.h"
#include "pipeline/reproduce.h"
#include "pipeline/run.h"
#include "release/control.h"
#include "serve/serve.h"

/* The host with what came with the database. */
static enum err_code ready(struct op_call *call, struct pipeline_host *ret, struct err *err)
{
    struct services *sv = call->sv;
    enum err_code code = services_need(sv->pipeline, "the pipeline", err);
    if (code == ERR_OK)
        code = services_need(sv->db, "the database", err);
    if (code == ERR_OK)
        code = services_need(sv->registry, "the registry", err);
    if (code != ERR_OK)
        return code;
    *ret = *sv->pipeline;
    ret->db = sv->db;
    ret->track = sv->track;
    ret->registry = sv->registry;
    return ERR_OK;
}

/* The folder asked for, else the home's. */
static const char *root_of(const struct op_call *call, const struct json *in)
{
    const char *root = json_get_c(in, "root");
    return root != NULL ? root : call->sv->root;
}

static enum err_code texts(const struct json *list, struct arena *a, const char ***ret,
                           size_t *ret_n, struct err *err)
{
    const char **out = ARENA_NEW_N(a, const char *, json_len(list) + 1);
    if (out == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < json_len(list); i++) {
        if (json_at(list, i)->type != JSON_STR)
            return err_set(err, ERR_INVALID, "steps: item %zu is not a name", i + 1);
        out[i] = str_dup(a, json_at(list, i)->u.s);
    }
    *ret = out;
    *ret_n = json_len(list);
    return ERR_OK;
}

/* Name of the project's endpoint, or NULL: its live release is what a candidate is compared with. */
static const char *endpoint_of(const char *root, struct arena *a)
{
    struct str text = STR_NONE, name = STR_NONE;
    struct cfg_node *node = NULL;
    struct cfg_problems ps;
    const char *path = path_join(a, root, "pawl.yaml");
    cfg_problems_init(&ps, a);
    if (path == NULL || file_read(path, CFG_BYTES_MAX, a, &text, NULL) != ERR_OK ||
        cfg_read(text, path, a, &node, &ps, NULL) != ERR_OK)
        return NULL;
    const struct cfg_node *at = cfg_get(cfg_get(node, "endpoint"), "name");
    return at != NULL && cfg_str(at, "endpoint.name", &name, &ps) ? str_dup(a, name) : NULL;
}

static enum err_code peers(struct op_call *call, const char *root, struct pipeline_peer ret[2],
                           size_t *ret_n, struct err *err)
{
    const char *endpoint = root != NULL ? endpoint_of(root, call->arena) : NULL;
    *ret_n = 0;
    if (endpoint == NULL || call->sv->release == NULL)
        return ERR_OK;
    return release_peers(call->sv->release, endpoint, call->arena, ret, ret_n, err);
}

static int64_t event_now(struct op_call *call, const char *root)
{
    const char *endpoint = root != NULL ? endpoint_of(root, call->arena) : NULL;
    if (!call->sv->is_replay || endpoint == NULL || call->sv->serve == NULL)
        return 0;
    int64_t at = serve_clock(call->sv->serve, endpoint);
    return at != AT_US_NONE ? at : 0;
}

enum err_code op_pipeline_run(struct op_call *call, const struct json *in, struct json **ret,
                              struct err *err)
{
    struct arena *a = call->arena;
    struct pipeline_host host;
    struct pipeline_peer others[2];
    struct pipeline_result res = {0};
    const char **steps = NULL;
    const char *root = root_of(call, in);
    struct fresh_order quick = {
        .home = call->sv->home, .root = root, .as_of_us = json_get_time(in, "as_of")};
    struct pipeline_order o = {.root = root,
                               .revision = json_get_c(in, "revision"),
                               .as_of_us = quick.as_of_us,
                               .jobs = (int)json_get_int(in, "jobs", PIPELINE_JOBS_DEFAULT),
                               .is_seed = json_get(in, "seed") != NULL,
                               .seed = json_get_int(in, "seed", 0),
                               .actor = call->actor,
                               .reason = json_get_c(in, "reason"),
                               .peers = others,
                               .is_cancelled = call->is_cancelled,
                               .on_progress = call->on_progress,
                               .progress_arg = call->progress_arg};
    if (json_get_bool(in, "force", false))
        o.cache = PIPELINE_CACHE_BYPASS;
    if (root == NULL && o.revision == NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no project here: pawl init FILE proposes one");
    if (o.jobs < 1 || o.jobs > PIPELINE_JOBS_MAX)
        return err_set(err, ERR_RANGE, "jobs is 1 to %d", PIPELINE_JOBS_MAX);
    enum err_code code = texts(json_get(in, "steps"), a, &steps, &o.n_steps, err);
    o.steps = quick.steps = steps;
    quick.n_steps = o.n_steps;
    o.event_now_us = event_now(call, root);
    quick.now_us = o.event_now_us > 0 ? o.event_now_us : clock_now_us(call->sv->clock);
    if (code == ERR_OK && o.revision == NULL && !o.is_seed && o.cache == PIPELINE_CACHE_USE &&
        fresh_is_unchanged(&quick, a, ret))
        return ERR_OK;
    if (code == ERR_OK)
        code = ready(call, &host, err);
    if (code == ERR_OK)
        code = peers(call, root, others, &o.n_peers, err);
    if (code == ERR_OK)
        code = pipeline_run(&host, &o, a, &res, err);
    if (res.doc != NULL)
        *ret = json_copy(a, res.doc);
    if (res.doc != NULL && json_get_bool(in, "explain", false))
        (void)json_set(a, *ret, "explain", json_bool(a, true));
    return code;
}

enum err_code op_project_check(struct op_call *call, const struct json *in, struct json **ret,
                               struct err *err)
{
    static const char *const DEPTHS[] = {"file", "data", "leak"};
    const char *depth = json_get_c(in, "depth"), *root = root_of(call, in);
    struct pipeline_host host;
    size_t i = 0;
    while (i < CHECK_DEPTH_N && (depth == NULL || strcmp(depth, DEPTHS[i]) != 0))
        i++;
    if (i == CHECK_DEPTH_N)
        return err_set(err, ERR_INVALID, "depth is file, data or leak");
    if (root == NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no project here: pawl init FILE proposes one");
    enum err_code code = ready(call, &host, err);
    return code == ERR_OK ? pipeline_check(&host, root, (enum check_depth)i, call->arena, ret, err)
                          : code;
}

enum err_code op_pipeline_reproduce(struct op_call *call, const struct json *in, struct json **ret,
                                    struct err *err)
{
    struct pipeline_host host;
    struct reproduce_order o = {.run_id = json_get_c(in, "run"),
                                .times = (int)json_get_int(in, "times", 1),
                                .tolerance = json_get_f64(in, "tolerance", 0),
                                .actor = call->actor,
                                .is_cancelled = call->is_cancelled,
                                .on_progress = call->on_progress,
                                .progress_arg = call->progress_arg};
    enum err_code code = ready(call, &host, err);
    return code == ERR_OK ? pipeline_reproduce(&host, &o, call->arena, ret, err) : code;
}

enum err_code op_steps_list(struct op_call *call, const struct json *in, struct json **ret,
                            struct err *err)
{
    const char *root = root_of(call, in);
    struct pipeline_host host;
    if (root == NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no project here");
    enum err_code code = ready(call, &host, err);
    return code == ERR_OK ? pipeline_steps(&host, root, call->arena, ret, err) : code;
}

/* ---- init ---- */

/* The file as the project will name it: below its folder when it lies there. */
static const char *relative(const char *root, const char *file)
{
    size_t n = strlen(root);
    return strncmp(file, root, n) == 0 && file[n] == '/' ? file + n + 1 : file;
}

static enum err_code look_at(struct op_call *call, const struct pipeline_host *h, const char *root,
                             const char *file, struct data_version *ret, struct err *err)
{
    struct arena *a = call->arena;
    struct str path = str_c(relative(root, file));
    struct source_spec s = {.name = str_c(init_name(file, a)),
                            .kind = SOURCE_PATH,
                            .paths = &path,
                            .n_paths = 1,
                            .timezone = STR("UTC"),
                            .available_after_us = -1,
                            .freshness_us = -1,
                            .is_reference = true};
    struct data_env env = {.db = h->db,
                           .blobs = h->blobs,
                           .pool = h->pool,
                           .clock = *h->clock,
                           .project = init_name(file, a),
                           .project_root = root,
                           .tmp_dir = path_join(a, h->home, "tmp"),
                           .is_cancelled = call->is_cancelled,
                           .on_progress = call->on_progress,
                           .progress_arg = call->progress_arg};
    if (env.tmp_dir == NULL || env.project == NULL)
        return arena_err(a, err);
    return data_snapshot(&env, &s, a, ret, NULL, err);
}

enum err_code op_project_init(struct op_call *call, const struct json *in, struct json **ret,
                              struct err *err)
{
    struct arena *a = call->arena;
    const char *file = json_get_c(in, "file"), *root = root_of(call, in);
    struct pipeline_host host;
    struct data_version v;
    struct str yaml = STR_NONE;
    struct json *doc = NULL;
    if (root == NULL)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no folder to write pawl.yaml into: name one with --root");
    const char *path = path_join(a, root, "pawl.yaml");
    struct init_options o = {.file = relative(root, file),
                             .project = json_get_c(in, "name"),
                             .label = json_get_c(in, "label"),
                             .time = json_get_c(in, "time")};
    if (path != NULL && file_exists(path) && !json_get_bool(in, "replace", false))
        return err_set(err, ERR_EXISTS, "%s is there already: --replace overwrites it", path);
    enum err_code code = path != NULL ? ready(call, &host, err) : arena_err(a, err);
    if (code == ERR_OK)
        code = look_at(call, &host, root, file, &v, err);
    if (code == ERR_OK)
        code = init_propose(&o, v.doc, a, &yaml, &doc, err);
    if (code == ERR_OK)
        code = file_write(path, yaml, 0644, err);
    if (code != ERR_OK)
        return code;
    (void)json_set(a, doc, "written", json_cstr(a, path));
    *ret = json_set(a, doc, "yaml", json_str(a, yaml));
    return ERR_OK;
}
