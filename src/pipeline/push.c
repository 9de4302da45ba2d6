#include "pipeline/push.h"

#include "alert/receiver.h"
#include "pipeline/check.h"
#include "pipeline/pipeline_spec.h"
#include "project/revision.h"

struct pushing {
    const char *project, *digest;
    const struct alert_spec *alerts;
    int64_t at_us;
};

static enum err_code mark(struct db_tx *tx, void *arg, struct err *err)
{
    const struct pushing *p = arg;
    const enum err_code code = revision_push(tx, p->project, p->digest, p->at_us, err);
    return code == ERR_OK ? alert_receivers_set(tx, p->project, p->alerts, p->at_us, err) : code;
}

/* The sections of higher layers are judged by the check, which says everything at once. */
static enum err_code no_problems(const struct pipeline_host *host, const char *root,
                                 struct arena *a, struct err *err)
{
    struct json *doc = NULL;
    const enum err_code code = pipeline_check(host, root, CHECK_DEPTH_FILE, a, &doc, err);
    if (code != ERR_NO)
        return code;
    const struct json *problems = json_get(doc, "problems");
    struct buf text;
    buf_init(&text, 64 << 10);
    for (size_t i = 0; i < json_len(problems); i++) {
        const struct json *p = json_at(problems, i);
        if (str_is(json_get_str(p, "severity"), "error"))
            buf_printf(&text, "%s%.*s:%lld:%lld: %.*s", text.n > 0 ? "\n" : "",
                       STR_ARG(json_get_str(p, "file")), (long long)json_get_int(p, "line", 0),
                       (long long)json_get_int(p, "column", 0),
                       STR_ARG(json_get_str(p, "message")));
    }
    (void)err_set(err, ERR_CONFIG, "%.*s", STR_ARG(buf_view(&text)));
    buf_fini(&text);
    return ERR_CONFIG;
}

enum err_code pipeline_push(const struct pipeline_host *host, const struct pipeline_push *push,
                            struct arena *a, struct json **ret, struct err *err)
{
    struct cfg_problems ps;
    struct pipeline_spec spec;
    struct alert_spec alerts;
    struct revision rev;
    const char **paths = NULL;
    size_t n = 0;
    cfg_problems_init(&ps, a);
    enum err_code code = no_problems(host, push->root, a, err);
    if (code == ERR_OK)
        code = pipeline_spec_read(push->root, a, &spec, &ps, err);
    if (code == ERR_OK)
        code = revision_files(&spec.file, &spec.project, a, &paths, &n, &ps, err);
    if (code != ERR_OK)
        return code;
    alert_spec_decode(cfg_get(spec.file.root, "alerts"), spec.file.root, a, &alerts, &ps);
    code = cfg_problems_err(&ps, err);
    struct revision_new meta = {.dir = spec.dir,
                                .paths = paths,
                                .n_paths = n,
                                .project = spec.project.name,
                                .author = push->actor,
                                .message = push->message,
                                .at_us = clock_now_us(host->clock)};
    if (code == ERR_OK)
        code = revision_store(host->db, host->blobs, &meta, a, &rev, err);
    struct pushing p = {spec.project.name, rev.digest, &alerts, meta.at_us};
    if (code == ERR_OK)
        code = db_write(host->db, mark, &p, err);
    if (code != ERR_OK)
        return code;
    struct json *doc = revision_json(&rev, a), *files = json_arr(a);
    for (size_t i = 0; i < n; i++)
        json_add(a, files, json_cstr(a, paths[i]));
    *ret = json_set(a, doc, "files", files);
    return ERR_OK;
}
