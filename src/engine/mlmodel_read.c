/* Reads MLmodel and computes the model digest. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/vec.h"
#include "config/config.h"
#include "engine/mlmodel.h"

#define MLMODEL_BYTES_MAX (1 << 20)

/* A path that stays inside the directory. */
static bool is_inside(const char *path)
{
    struct str rest = str_c(path);
    if (rest.n == 0 || path[0] == '/')
        return false;
    while (rest.p) {
        if (str_is(str_split(&rest, '/'), ".."))
            return false;
    }
    return true;
}

static char *get_text(const struct cfg_node *map, const char *key, struct arena *a)
{
    const struct cfg_node *n = cfg_get(map, key);
    bool is_null = n && !n->is_quoted && (str_is(n->text, "null") || n->text.n == 0);
    return n && n->type == CFG_SCALAR && !is_null ? str_dup(a, n->text) : NULL;
}

/* inputs and outputs are JSON in a YAML string. */
static enum err_code read_signature_side(const struct cfg_node *sig, const char *side,
                                         struct arena *a, struct sig_field **ret, size_t *ret_n,
                                         struct err *err)
{
    char *text = get_text(sig, side, a);
    struct json *fields = NULL;
    if (!text)
        return ERR_OK;
    enum err_code rc = json_read(str_c(text), a, &fields, err);
    if (rc == ERR_OK && fields->type != JSON_NULL)
        rc = signature_fields_read(fields, a, ret, ret_n, err);
    return rc == ERR_OK ? rc : err_wrap(err, "MLmodel: signature.%s", side);
}

static enum err_code read_signature(const struct cfg_node *root, struct arena *a,
                                    struct model_info *info, struct err *err)
{
    const struct cfg_node *sig = cfg_get(root, "signature");
    if (!sig || sig->type != CFG_MAP)
        return ERR_OK;
    info->has_signature = true;
    enum err_code rc = read_signature_side(sig, "inputs", a, &info->signature.inputs,
                                           &info->signature.n_inputs, err);
    if (rc == ERR_OK)
        rc = read_signature_side(sig, "outputs", a, &info->signature.outputs,
                                 &info->signature.n_outputs, err);
    return rc;
}

/* The flavor that says most about the model: the first but python_function, else that. */
static size_t choose_flavor(const struct cfg_node *flavors)
{
    for (size_t i = 0; i < flavors->n; i++) {
        if (!str_is(flavors->keys[i], "python_function"))
            return i;
    }
    return 0;
}

/* Key of the library's version inside a flavor. */
static const char *version_key(struct arena *a, const char *flavor)
{
    if (strcmp(flavor, "xgboost") == 0)
        return "xgb_version";
    if (strcmp(flavor, "lightgbm") == 0)
        return "lgb_version";
    return str_printf(a, "%s_version", flavor);
}

static enum err_code read_flavors(const struct cfg_node *root, struct arena *a,
                                  struct model_info *info, struct err *err)
{
    const struct cfg_node *flavors = cfg_get(root, "flavors");
    if (!flavors || flavors->type != CFG_MAP || flavors->n == 0)
        return err_set(err, ERR_PARSE, "MLmodel: flavors is missing or empty");
    size_t chosen = choose_flavor(flavors);
    info->flavor = str_dup(a, flavors->keys[chosen]);
    const char *key = info->flavor ? version_key(a, info->flavor) : NULL;
    info->flavors = cfg_json(flavors, a);
    if (!key || !info->flavors)
        return arena_err(a, err);
    info->data = get_text(flavors->items[chosen], "data", a);
    info->library_version = get_text(flavors->items[chosen], key, a);
    info->loader_module = get_text(cfg_get(flavors, "python_function"), "loader_module", a);
    if (info->data && !is_inside(info->data))
        return err_set(err, ERR_REFUSED, "MLmodel: data '%s' is not inside the model's directory",
                       info->data);
    return ERR_OK;
}

enum err_code model_dir_read(const char *dir, struct arena *a, struct model_info *ret,
                             struct err *err)
{
    struct str text;
    struct cfg_node *root = NULL;
    struct cfg_problems problems;
    struct model_info info = {0};
    char *path = path_join(a, dir, "MLmodel");
    if (!path)
        return arena_err(a, err);
    enum err_code rc = file_read(path, MLMODEL_BYTES_MAX, a, &text, err);
    if (rc != ERR_OK)
        return err_wrap(err, "not a model directory");
    cfg_problems_init(&problems, a);
    rc = cfg_read(text, "MLmodel", a, &root, &problems, err);
    if (rc == ERR_OK)
        rc = cfg_problems_err(&problems, err);
    if (rc == ERR_OK)
        rc = read_flavors(root, a, &info, err);
    if (rc == ERR_OK)
        rc = read_signature(root, a, &info, err);
    if (rc != ERR_OK)
        return rc;
    info.run_id = get_text(root, "run_id", a);
    info.model_uuid = get_text(root, "model_uuid", a);
    info.model_id = get_text(root, "model_id", a);
    info.mlflow_version = get_text(root, "mlflow_version", a);
    *ret = info;
    return ERR_OK;
}

/* ---- digest ---- */

struct file_list {
    VEC(char *) paths; /* relative */
    struct arena *arena;
    const char *dir;
};

#define DIR_DEPTH_MAX 16

/* Adds the files below dir/prefix; prefix is "" or ends in '/'. */
static enum err_code list_files(struct file_list *l, const char *prefix, int depth, struct err *err)
{
    char **names;
    size_t n;
    char *here = str_printf(l->arena, "%s/%s", l->dir, prefix);
    if (!here)
        return arena_err(l->arena, err);
    if (depth > DIR_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "%s: folders nested deeper than %d", prefix, DIR_DEPTH_MAX);
    enum err_code rc = dir_list(here, l->arena, &names, &n, err);
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        char *relative = str_printf(l->arena, "%s%s", prefix, names[i]);
        char *full = relative ? str_printf(l->arena, "%s/%s", l->dir, relative) : NULL;
        char *below = relative ? str_printf(l->arena, "%s/", relative) : NULL;
        if (!full || !below)
            return arena_err(l->arena, err);
        if (dir_exists(full)) {
            rc = list_files(l, below, depth + 1, err);
            continue;
        }
        if (l->paths.n == MODEL_DIR_FILES_MAX)
            return err_set(err, ERR_LIMIT, "a model of more than %d files", MODEL_DIR_FILES_MAX);
        char **slot = VEC_ADD(l->arena, &l->paths);
        if (!slot)
            return arena_err(l->arena, err);
        *slot = relative;
    }
    return rc;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum err_code manifest(const char *dir, struct arena *a, struct json **ret, struct err *err)
{
    struct file_list l = {.arena = a, .dir = dir};
    struct json *files = json_arr(a);
    enum err_code rc = list_files(&l, "", 0, err);
    if (rc != ERR_OK)
        return rc;
    if (l.paths.n)
        qsort(l.paths.p, l.paths.n, sizeof *l.paths.p, by_bytes);
    for (size_t i = 0; i < l.paths.n; i++) {
        struct digest d;
        int64_t size;
        if (strcmp(l.paths.p[i], "MLmodel") == 0)
            continue;
        char *full = path_join(a, dir, l.paths.p[i]);
        if (!full)
            return arena_err(a, err);
        rc = digest_of_file(full, &d, &size, err);
        if (rc != ERR_OK)
            return rc;
        struct json *entry = json_obj(a);
        json_set(a, entry, "path", json_cstr(a, l.paths.p[i]));
        json_set(a, entry, "sha256", json_hex(a, &d));
        json_set(a, entry, "bytes", json_int(a, size));
        json_add(a, files, entry);
    }
    *ret = files;
    return ERR_OK;
}

/* Canonical JSON has no null: members that are null are left out. */
static struct json *without_nulls(const struct json *v, struct arena *a)
{
    if (v->type == JSON_OBJ) {
        struct json *o = json_obj(a);
        for (size_t i = 0; i < v->u.obj.n; i++) {
            char *key = str_dup(a, v->u.obj.members[i].key);
            if (key && v->u.obj.members[i].val->type != JSON_NULL)
                json_set(a, o, key, without_nulls(v->u.obj.members[i].val, a));
        }
        return o;
    }
    if (v->type == JSON_ARR) {
        struct json *list = json_arr(a);
        for (size_t i = 0; i < json_len(v); i++)
            json_add(a, list, without_nulls(json_at(v, i), a));
        return list;
    }
    return json_copy(a, v);
}

enum err_code model_dir_digest(const char *dir, struct arena *a, struct digest *ret,
                               struct err *err)
{
    struct model_info info;
    struct json *files = NULL;
    enum err_code rc = model_dir_read(dir, a, &info, err);
    if (rc == ERR_OK)
        rc = manifest(dir, a, &files, err);
    if (rc != ERR_OK)
        return rc;
    struct json *doc = json_obj(a);
    json_set(a, doc, "files", files);
    json_set(a, doc, "flavors", without_nulls(info.flavors, a));
    if (info.has_signature)
        json_set(a, doc, "signature", signature_json(&info.signature, a));
    return json_digest(doc, "model", ret, err);
}
