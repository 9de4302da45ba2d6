#include <stdio.h>

#include "base/file.h"
#include "track/environment_int.h"
#include "track/track.h"

#define PROGRAM_TIMEOUT_MS 10000

/* The first line that the program prints about itself; a program that is not there is left out. */
static void programs_put(const struct environment_ask *ask, struct json *j, struct arena *a)
{
    struct json *list = json_arr(a);
    for (size_t i = 0; i < ask->n_programs; i++) {
        struct str out;
        struct capture c = {.argv = ask->programs[i].argv,
                            .cwd = ask->project_dir,
                            .timeout_ms = PROGRAM_TIMEOUT_MS,
                            .limit = 4096,
                            .with_stderr = true};
        if (!capture_run(&c, a, &out, NULL))
            continue;
        struct json *p = json_obj(a);
        json_set(a, p, "name", json_cstr(a, ask->programs[i].name));
        json_set(a, p, "version", json_str(a, str_trim(str_split(&out, '\n'))));
        json_add(a, list, p);
    }
    json_set(a, j, "programs", list);
}

enum err_code environment_record(const struct environment_ask *ask, struct arena *a,
                                 struct json **ret, struct str *ret_diff, struct err *err)
{
    struct json *j = json_obj(a), *pawl = json_obj(a);
    struct str diff = STR_NONE;
    struct buf probe;
    json_set(a, j, "code", environment_code(ask->project_dir, a, &diff));
    programs_put(ask, j, a);
    json_set(a, j, "host", environment_host(a));
    json_set(a, j, "pawl", json_set(a, pawl, "version", json_cstr(a, PAWL_VERSION)));
    if (ask->command) {
        struct json *command = json_arr(a);
        for (size_t i = 0; ask->command[i]; i++)
            json_add(a, command, json_cstr(a, ask->command[i]));
        json_set(a, j, "command", command);
    }
    if (ask->has_seed)
        json_set(a, j, "seed", json_int(a, ask->seed));
    if (ask->libraries)
        json_set(a, j, "libraries", json_copy(a, ask->libraries));
    /* One look whether everything found room in the arena. */
    buf_init(&probe, (size_t)16 << 20);
    enum err_code code = json_write(j, JSON_COMPACT, &probe, err);
    buf_fini(&probe);
    if (code != ERR_OK)
        return code;
    *ret = j;
    *ret_diff = diff;
    return ERR_OK;
}

/* Scalars of the record that people search runs by. */
static const struct {
    const char *path, *tag;
} TAGS[] = {
    {"code.commit", "mlflow.source.git.commit"},
    {"code.branch", "mlflow.source.git.branch"},
    {"code.is_dirty", "pawl.git.dirty"},
    {"code.diff_sha256", "pawl.git.diff_sha256"},
    {"host.cpu", "pawl.env.cpu"},
    {"host.cores", "pawl.env.cores"},
    {"host.ram_bytes", "pawl.env.ram_bytes"},
    {"host.os", "pawl.env.os"},
    {"host.libc", "pawl.env.libc"},
    {"pawl.version", "pawl.env.pawl"},
    {"seed", "pawl.env.seed"},
};
#define ENVIRONMENT_TAGS_N (sizeof(TAGS) / sizeof(TAGS[0]))

static const char *scalar_text(const struct json *v, struct arena *a)
{
    switch (v->type) {
    case JSON_STR:
        return str_dup(a, v->u.s);
    case JSON_BOOL:
        return v->u.b ? "true" : "false";
    case JSON_INT:
        return str_printf(a, "%lld", (long long)v->u.i);
    case JSON_NULL:
    case JSON_REAL:
    case JSON_ARR:
    case JSON_OBJ:
    case JSON_TYPE_N:
        break;
    }
    return NULL;
}

static enum err_code tags_log(struct track *t, const char *run_id, const struct json *record,
                              struct arena *a, struct err *err)
{
    struct tag tags[ENVIRONMENT_TAGS_N];
    struct run_batch batch = {.tags = tags};
    for (size_t i = 0; i < ENVIRONMENT_TAGS_N; i++) {
        const struct json *v = json_path(record, TAGS[i].path);
        const char *text = v ? scalar_text(v, a) : NULL;
        if (text)
            tags[batch.n_tags++] = (struct tag){TAGS[i].tag, text};
    }
    return run_log(t, run_id, &batch, err);
}

static enum err_code artifact_put(struct arena *a, const char *dir, const char *name,
                                  struct str text, struct err *err)
{
    char *path = path_join(a, dir, name);
    return path ? file_write(path, text, 0600, err) : arena_err(a, err);
}

enum err_code environment_log(struct track *t, const char *run_id, const struct json *record,
                              struct str diff, struct err *err)
{
    struct arena a;
    struct buf text;
    char *dir = NULL, *below = NULL;
    arena_init(&a, (size_t)4 << 20);
    buf_init(&text, (size_t)16 << 20);
    enum err_code code = json_write(record, JSON_PRETTY, &text, err);
    if (code == ERR_OK)
        code = run_artifact_dir(t, run_id, RUN_DIR_MAKE, &a, &dir, err);
    if (code == ERR_OK) {
        below = path_join(&a, dir, "pawl");
        code = below ? dir_make(below, 0700, err) : arena_err(&a, err);
    }
    if (code == ERR_OK)
        code = artifact_put(&a, below, "environment.json", buf_view(&text), err);
    if (code == ERR_OK && diff.n > 0)
        code = artifact_put(&a, below, "diff.patch", diff, err);
    if (code == ERR_OK)
        code = tags_log(t, run_id, record, &a, err);
    buf_fini(&text);
    arena_fini(&a);
    return code == ERR_OK ? code : err_wrap(err, "record the environment of run %s", run_id);
}
