/* The MLflow model directory: written so that the unmodified Python library loads it, read from
 * whatever wrote it, and named by a digest of what decides its answers.
 *
 *   MLmodel            flavors, signature, ids and times (YAML)
 *   model.json         XGBoost's own JSON
 *   requirements.txt   conda.yaml   python_env.yaml
 *   pawl/...           files of ours (plan.json, baseline.json, ...) that MLflow ignores
 *
 * Model digest (decision 6): json_digest kind "model" of {files:[{path,sha256,bytes}] of every file
 * but MLmodel, flavors, signature}: the volatile fields of MLmodel (run id, time, uuid) do not
 * enter.
 * Threads: none shared. */
#ifndef PAWL_ENGINE_MLMODEL_H
#define PAWL_ENGINE_MLMODEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/hash.h"
#include "model/signature.h"

#define MODEL_DIR_FILES_MAX 4096

struct model_file {
    const char *path; /* relative, "pawl/plan.json" */
    struct str bytes;
};

struct model_write {
    struct str booster_json;           /* the XGBoost model, becomes model.json */
    const struct signature *signature; /* may be NULL */
    const char
        *xgboost_version; /* of the library that trained, "1.7.4"; goes into requirements.txt */
    const char *python_version;     /* "3.11.7"; NULL: a default */
    const char *run_id;             /* may be NULL */
    const char *model_id;           /* "m-..."; may be NULL */
    const char *artifact_path;      /* "model" when NULL */
    const char *model_uuid;         /* 32 hex digits; NULL: made */
    int64_t at_us;                  /* creation time */
    const struct model_file *files; /* further files */
    size_t n_files;
};

/* Writes the directory `dir`, which must not exist or be empty. Nothing half-done remains after an
 * error. */
enum err_code model_dir_write(const char *dir, const struct model_write *w, struct arena *a,
                              struct err *err) MUST_CHECK;

/* What the MLmodel file says. */
struct model_info {
    const char
        *flavor; /* "xgboost", "lightgbm", "onnx", "python_function", ... the most native one */
    const char
        *data; /* path of the model file or directory, relative to the directory; may be NULL */
    const char *library_version;                                 /* "1.7.4" or NULL */
    const char *loader_module;                                   /* python_function's, or NULL */
    const char *run_id, *model_uuid, *model_id, *mlflow_version; /* NULL where absent */
    struct signature signature;                                  /* empty where absent */
    bool has_signature;
    struct json *flavors; /* as written */
};
enum err_code model_dir_read(const char *dir, struct arena *a, struct model_info *ret,
                             struct err *err) MUST_CHECK;

enum err_code model_dir_digest(const char *dir, struct arena *a, struct digest *ret,
                               struct err *err) MUST_CHECK;

#endif
