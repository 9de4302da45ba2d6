/* Writes the model directory as mlflow.xgboost.save_model does. Strings in YAML are written as JSON
 * strings, which YAML reads alike. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "engine/mlmodel.h"

#define MLMODEL_TEXT_MAX (1 << 24)
#define PYTHON_DEFAULT   "3.11"
#define MODEL_FILE       "model.json"
#define XGBOOST_SAFE_MAX "4"

static void put_key(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, "%s: ", key);
    if (value)
        json_write_str(out, str_c(value));
    else
        buf_c(out, "null");
    buf_ch(out, '\n');
}

static enum err_code put_side(struct buf *out, const char *side, const struct sig_field *fields,
                              size_t n, struct arena *a, struct err *err)
{
    struct buf text;
    buf_init(&text, MLMODEL_TEXT_MAX);
    enum err_code rc = json_write(signature_fields_json(fields, n, a), JSON_COMPACT, &text, err);
    if (rc == ERR_OK) {
        buf_printf(out, "  %s: ", side);
        json_write_str(out, buf_view(&text));
        buf_ch(out, '\n');
    }
    buf_fini(&text);
    return rc;
}

static enum err_code put_signature(struct buf *out, const struct signature *s, struct arena *a,
                                   struct err *err)
{
    if (!s)
        return ERR_OK;
    buf_c(out, "signature:\n");
    enum err_code rc = put_side(out, "inputs", s->inputs, s->n_inputs, a, err);
    if (rc == ERR_OK)
        rc = put_side(out, "outputs", s->outputs, s->n_outputs, a, err);
    buf_c(out, "  params: null\n");
    return rc;
}

static void put_flavors(struct buf *out, const struct model_write *w)
{
    buf_c(out, "flavors:\n"
               "  python_function:\n"
               "    data: " MODEL_FILE "\n"
               "    env:\n"
               "      conda: conda.yaml\n"
               "      virtualenv: python_env.yaml\n"
               "    loader_module: mlflow.xgboost\n");
    put_key(out, "    python_version", w->python_version ? w->python_version : PYTHON_DEFAULT);
    buf_c(out, "  xgboost:\n"
               "    code: null\n"
               "    data: " MODEL_FILE "\n"
               "    model_class: xgboost.core.Booster\n"
               "    model_format: json\n");
    put_key(out, "    xgb_version", w->xgboost_version);
}

static enum err_code mlmodel_text(const struct model_write *w, struct arena *a, struct buf *out,
                                  struct err *err)
{
    struct civil c;
    civil_from_us(w->at_us, &c);
    if (w->artifact_path)
        put_key(out, "artifact_path", w->artifact_path);
    put_flavors(out, w);
    if (w->model_id)
        put_key(out, "model_id", w->model_id);
    buf_printf(out, "model_size_bytes: %zu\n", w->booster_json.n);
    char uuid[33];
    uint8_t random[16];
    random_bytes(random, sizeof random);
    hex_encode(random, sizeof random, uuid);
    put_key(out, "model_uuid", w->model_uuid ? w->model_uuid : uuid);
    if (w->run_id)
        put_key(out, "run_id", w->run_id);
    enum err_code rc = put_signature(out, w->signature, a, err);
    buf_printf(out, "utc_time_created: '%04d-%02d-%02d %02d:%02d:%02d.%06d'\n", c.year, c.month,
               c.day, c.hour, c.minute, c.second, c.us);
    return rc == ERR_OK ? buf_ok(out, err) : rc;
}

static enum err_code write_file(const char *dir, const char *path, struct str bytes,
                                struct arena *a, struct err *err)
{
    char *full = path_join(a, dir, path);
    if (!full)
        return arena_err(a, err);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    enum err_code rc = dir_make(full, 0755, err);
    *slash = '/';
    return rc == ERR_OK ? file_write(full, bytes, 0644, err) : rc;
}

/* Environment files; the library's version is a floor, because newer releases read older files. */
static enum err_code write_environment(const char *dir, const struct model_write *w,
                                       struct arena *a, struct err *err)
{
    const char *python = w->python_version ? w->python_version : PYTHON_DEFAULT;
    const char *xgboost = w->xgboost_version ? w->xgboost_version : "1.7.4";
    char *requirements =
        str_printf(a, "mlflow\npandas\nxgboost>=%s,<" XGBOOST_SAFE_MAX "\n", xgboost);
    char *conda = str_printf(
        a,
        "channels:\n- conda-forge\ndependencies:\n- python=%s\n- pip\n- pip:\n  - mlflow\n"
        "  - pandas\n  - xgboost>=%s,<" XGBOOST_SAFE_MAX "\nname: mlflow-env\n",
        python, xgboost);
    char *python_env =
        str_printf(a,
                   "python: %s\nbuild_dependencies:\n- pip\n- setuptools\n- wheel\ndependencies:\n"
                   "- -r requirements.txt\n",
                   python);
    if (!requirements || !conda || !python_env)
        return arena_err(a, err);
    enum err_code rc = write_file(dir, "requirements.txt", str_c(requirements), a, err);
    if (rc == ERR_OK)
        rc = write_file(dir, "conda.yaml", str_c(conda), a, err);
    return rc == ERR_OK ? write_file(dir, "python_env.yaml", str_c(python_env), a, err) : rc;
}

static enum err_code write_all(const char *dir, const struct model_write *w, struct arena *a,
                               struct err *err)
{
    struct buf text;
    buf_init(&text, MLMODEL_TEXT_MAX);
    enum err_code rc = mlmodel_text(w, a, &text, err);
    if (rc == ERR_OK)
        rc = write_file(dir, MODEL_FILE, w->booster_json, a, err);
    if (rc == ERR_OK)
        rc = write_environment(dir, w, a, err);
    for (size_t i = 0; rc == ERR_OK && i < w->n_files; i++)
        rc = write_file(dir, w->files[i].path, w->files[i].bytes, a, err);
    if (rc == ERR_OK) /* last: a directory with an MLmodel is complete */
        rc = write_file(dir, "MLmodel", buf_view(&text), a, err);
    buf_fini(&text);
    return rc;
}

enum err_code model_dir_write(const char *dir, const struct model_write *w, struct arena *a,
                              struct err *err)
{
    char **names;
    size_t n = 0;
    if (dir_exists(dir)) {
        enum err_code rc = dir_list(dir, a, &names, &n, err);
        if (rc != ERR_OK)
            return rc;
    }
    if (n)
        return err_set(err, ERR_EXISTS, "%s: the model's directory is not empty", dir);
    enum err_code rc = dir_make(dir, 0755, err);
    if (rc == ERR_OK)
        rc = write_all(dir, w, a, err);
    if (rc == ERR_OK)
        return ERR_OK;
    struct err ignored = ERR_INIT;
    if (dir_remove(dir, &ignored) != ERR_OK)
        return err_wrap(err, "write model %s (and what was written could not be removed)", dir);
    return err_wrap(err, "write model %s", dir);
}
