/* What a `run:` command may leave in $PAWL_OUT: an MLflow model directory (there, or one level below), or one XGBoost model
 * file (.json, .ubj). A model of trees is opened by our engine and its inputs are matched by name with the plan's, whose
 * order then follows the model's: a trainer may order columns as it likes. */
#include "train/train_package.h"

#include <sys/stat.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/vec.h"
#include "engine/engine.h"
#include "engine/mlmodel.h"
#include "train/train_data.h"
#include "train/xgb.h"

#define MODEL_BYTES_MAX ((size_t)1 << 30)

enum err_code train_json_text(const struct json *v, struct arena *a, struct str *ret,
                              struct err *err)
{
    struct buf out;
    buf_init(&out, (size_t)256 << 20);
    enum err_code code = json_write(v, JSON_CANONICAL, &out, err);
    char *text = code == ERR_OK ? str_dup(a, buf_view(&out)) : NULL;
    if (code == ERR_OK && text == NULL)
        code = arena_err(a, err);
    if (code == ERR_OK)
        *ret = str_n(text, out.n);
    buf_fini(&out);
    return code;
}

enum err_code train_signature(const struct plan *p, const char *task, size_t n_classes,
                              struct arena *a, struct signature *ret, struct err *err)
{
    size_t k = plan_n_inputs(p);
    size_t n_out = task != NULL && strcmp(task, "multiclass") == 0 ? n_classes : 1;
    struct sig_field *in = ARENA_NEW_N(a, struct sig_field, k);
    struct sig_field *out = ARENA_NEW_N(a, struct sig_field, 1);
    if (in == NULL || out == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < k; i++)
        in[i] = (struct sig_field){
            .name = plan_input(p, i)->name, .type = SIG_DOUBLE, .is_required = false};
    out[0] = (struct sig_field){.type = SIG_TENSOR,
                                .is_required = true,
                                .dtype = "float32",
                                .shape = {-1, (int64_t)n_out},
                                .n_dims = n_out > 1 ? 2 : 1};
    *ret = (struct signature){.inputs = in, .n_inputs = k, .outputs = out, .n_outputs = 1};
    return ERR_OK;
}

/* The two files of one command, while they are made. */
struct export
{
    struct table *t;
    const struct json *args;
    struct arena data;
    struct train_plan plan;
};

static enum err_code export_split(struct export *x, const struct plan *p, const char *split,
                                  struct train_rows *rows, struct err *err)
{
    bool is_train = strcmp(split, "train") == 0;
    struct train_pick pick = {.path = json_get_c(x->args, "dataset"),
                              .split = split,
                              .sample = is_train ? json_get_f64(x->args, "sample", 1) : 1,
                              .seed = json_get_int(x->args, "seed", 0)};
    enum err_code code = train_rows_load(x->t, p, &pick, &x->data, rows, err);
    if (code == ERR_OK)
        code = train_rows_write(x->t, p, rows, json_get_c(x->args, split), &x->data, err);
    return code;
}

enum err_code train_op_export(struct worker *w, const struct json *args, struct json **ret,
                              struct err *err)
{
    struct arena *a = worker_arena(w);
    struct export x = {.args = args};
    struct plan *open = NULL;
    struct json *r = json_obj(a);
    struct train_rows train = {0}, validation = {0};
    struct table_options opt = {.n_threads = (int)json_get_int(args, "threads", 2)};
    arena_init(&x.data, (size_t)64 << 30);
    enum err_code code = table_open(&opt, &x.t, err);
    if (code == ERR_OK)
        code = plan_read(json_get(args, "plan"), &x.data, &open, err);
    if (code == ERR_OK)
        code = export_split(&x, open, "train", &train, err);
    if (code == ERR_OK)
        code = train_plan_finish(open, json_get(args, "plan"), &train, &x.data, &x.plan, err);
    if (code == ERR_OK)
        code = export_split(&x, x.plan.p, "validation", &validation, err);
    if (code == ERR_OK) {
        (void)json_set(a, r, "plan", json_copy(a, x.plan.doc));
        (void)json_set(a, r, "n_train", json_int(a, (int64_t)train.n));
        (void)json_set(a, r, "n_validation", json_int(a, (int64_t)validation.n));
        *ret = r;
    }
    table_close(x.t);
    arena_fini(&x.data);
    return code;
}

/* ---- what was left ---- */

struct left {
    const char *mlmodel_dir; /* directory with an MLmodel file, or NULL */
    const char *file;        /* the one model file, or NULL */
};

static bool is_model_file(const char *name)
{
    return str_ends(str_c(name), STR(".json")) || str_ends(str_c(name), STR(".ubj"));
}

static bool has_mlmodel(const char *dir, struct arena *a)
{
    const char *p = path_join(a, dir, "MLmodel");
    return p != NULL && file_exists(p);
}

static enum err_code look(const char *dir, struct arena *a, struct left *ret, struct err *err)
{
    char **names = NULL;
    size_t n = 0, n_files = 0;
    struct left l = {0};
    if (has_mlmodel(dir, a)) {
        *ret = (struct left){.mlmodel_dir = dir};
        return ERR_OK;
    }
    enum err_code code = dir_list(dir, a, &names, &n, err);
    if (code != ERR_OK)
        return code;
    for (size_t i = 0; i < n; i++) {
        const char *p = path_join(a, dir, names[i]);
        if (p == NULL)
            return arena_err(a, err);
        if (dir_exists(p) && has_mlmodel(p, a)) {
            l.mlmodel_dir = p;
        } else if (!dir_exists(p) && is_model_file(names[i])) {
            l.file = p;
            n_files++;
        }
    }
    if (l.mlmodel_dir == NULL && n_files == 0)
        return err_set(
            err, ERR_INVALID,
            "the command left no model in $PAWL_OUT (%zu other entries): write an XGBoost model "
            "(.json, .ubj) or an MLflow model directory there",
            n);
    if (l.mlmodel_dir == NULL && n_files > 1)
        return err_set(err, ERR_INVALID, "the command left %zu model files in $PAWL_OUT: leave one",
                       n_files);
    *ret = l;
    return ERR_OK;
}

/* Position of a name among the plan's inputs in the document; -1 when it has none. */
static ptrdiff_t input_index(const struct json *inputs, const char *name)
{
    for (size_t i = 0; i < json_len(inputs); i++) {
        const char *have = json_get_c(json_at(inputs, i), "name");
        if (have != NULL && name != NULL && strcmp(have, name) == 0)
            return (ptrdiff_t)i;
    }
    return -1;
}

/* The plan's inputs in the model's order. */
static enum err_code match_plan(const struct engine *e, const struct json *plan, struct arena *a,
                                struct json **ret, struct err *err)
{
    const struct json *inputs = json_get(plan, "inputs");
    struct json *ordered = json_arr(a), *doc = json_copy(a, plan);
    size_t k = engine_n_inputs(e);
    bool has_names = k > 0 && engine_input_name(e, 0) != NULL;
    if (!has_names && k != json_len(inputs))
        return err_set(
            err, ERR_INVALID,
            "the model takes %zu columns without names, the features are %zu: train on all columns "
            "of $PAWL_TRAIN but those that start with __, or keep their names in the model",
            k, json_len(inputs));
    for (size_t i = 0; i < k; i++) {
        ptrdiff_t at = has_names ? input_index(inputs, engine_input_name(e, i)) : (ptrdiff_t)i;
        if (at < 0)
            return err_set(
                err, ERR_INVALID,
                "the model reads column %s, which is none of dataset.features: add it there or "
                "train without it",
                engine_input_name(e, i));
        (void)json_add(a, ordered, json_copy(a, json_at(inputs, (size_t)at)));
    }
    *ret = json_set(a, doc, "inputs", ordered);
    return ERR_OK;
}

/* One model file as an MLflow directory. A binary one is turned to JSON by the library that knows it. */
static enum err_code write_file_model(struct worker *w, const struct json *args, const char *file,
                                      const struct plan *plan, struct err *err)
{
    struct arena *a = worker_arena(w);
    const struct xgb *x = NULL;
    struct xgb_model *m = NULL;
    struct str bytes = STR_NONE;
    struct signature sig = {0};
    const char *out = json_get_c(args, "out");
    enum err_code code = file_read(file, MODEL_BYTES_MAX, a, &bytes, err);
    if (code == ERR_OK)
        code = xgb_open(&x, err);
    if (code == ERR_OK && str_ends(str_c(file), STR(".ubj"))) {
        code = xgb_model_new(x, NULL, 0, &m, err);
        if (code == ERR_OK)
            code = xgb_load_json(m, bytes, err);
        if (code == ERR_OK)
            code = xgb_save_json(m, a, &bytes, err);
    }
    if (code == ERR_OK)
        code = train_signature(plan, json_get_c(args, "task"),
                               (size_t)json_get_int(args, "classes", 0), a, &sig, err);
    if (code == ERR_OK) {
        struct model_write mw = {.booster_json = bytes,
                                 .signature = &sig,
                                 .xgboost_version = xgb_version(x),
                                 .python_version = json_get_c(args, "python"),
                                 .run_id = json_get_c(args, "run_id"),
                                 .at_us = clock_now_us(&CLOCK_SYSTEM)};
        code = model_dir_write(out, &mw, a, err);
    }
    xgb_model_free(m);
    return code;
}

static enum err_code copy_dir(const char *from, const char *to, int depth, struct arena *a,
                              struct err *err)
{
    char **names = NULL;
    size_t n = 0;
    if (depth > 16)
        return err_set(err, ERR_LIMIT, "%s: directories deeper than 16", from);
    enum err_code code = dir_make(to, 0700, err);
    if (code == ERR_OK)
        code = dir_list(from, a, &names, &n, err);
    for (size_t i = 0; code == ERR_OK && i < n; i++) {
        struct stat st;
        const char *src = path_join(a, from, names[i]), *dst = path_join(a, to, names[i]);
        if (src == NULL || dst == NULL)
            return arena_err(a, err);
        if (lstat(src, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
            code = err_set(err, ERR_INVALID, "%s is neither a file nor a directory", src);
        else if (S_ISDIR(st.st_mode))
            code = copy_dir(src, dst, depth + 1, a, err);
        else
            code = file_clone(src, dst, 0600, err);
    }
    return code;
}

static enum err_code write_plan(const char *out, const struct json *plan, struct arena *a,
                                struct err *err)
{
    struct str text = STR_NONE;
    const char *dir = path_join(a, out, "pawl");
    const char *path = dir != NULL ? path_join(a, dir, "plan.json") : NULL;
    if (path == NULL)
        return arena_err(a, err);
    enum err_code code = train_json_text(plan, a, &text, err);
    if (code == ERR_OK)
        code = dir_make(dir, 0700, err);
    if (code == ERR_OK)
        code = file_write(path, text, 0600, err);
    return code;
}

enum err_code train_op_package(struct worker *w, const struct json *args, struct json **ret,
                               struct err *err)
{
    struct arena *a = worker_arena(w);
    const char *left_dir = json_get_c(args, "left"), *out = json_get_c(args, "out");
    const struct json *plan_doc = json_get(args, "plan");
    struct left left = {0};
    struct plan *plan = NULL;
    struct engine *e = NULL;
    struct json *matched = NULL, *r = json_obj(a);
    struct digest d;
    if (left_dir == NULL || out == NULL || plan_doc == NULL)
        return err_set(err, ERR_INVALID, "train.package needs left, out and plan");
    enum err_code code = plan_read(plan_doc, a, &plan, err);
    if (code == ERR_OK)
        code = look(left_dir, a, &left, err);
    if (code == ERR_OK && left.mlmodel_dir != NULL)
        code = copy_dir(left.mlmodel_dir, out, 0, a, err);
    else if (code == ERR_OK)
        code = write_file_model(w, args, left.file, plan, err);
    if (code == ERR_OK)
        code = engine_open(out, NULL, &e, err);
    if (code == ERR_OK)
        code = match_plan(e, plan_doc, a, &matched, err);
    if (code == ERR_OK)
        code = write_plan(out, matched, a, err);
    if (code == ERR_OK)
        code = model_dir_digest(out, a, &d, err);
    if (code == ERR_OK) {
        (void)json_set(a, r, "model_digest", json_hex(a, &d));
        (void)json_set(a, r, "plan", matched);
        (void)json_set(a, r, "kind", json_cstr(a, engine_kind(e)));
        *ret = r;
    }
    engine_close(e);
    return code;
}
