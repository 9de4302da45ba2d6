#include "pipeline/pipeline_spec.h"

#include "base/check.h"
#include "base/file.h"

enum err_code pipeline_read_yaml(const char *path, const char *shown, struct arena *a,
                                 const struct cfg_node **ret, struct cfg_problems *ps,
                                 struct err *err)
{
    struct str text = STR_NONE;
    struct cfg_node *root = NULL;
    enum err_code code = file_read(path, CFG_BYTES_MAX, a, &text, err);
    if (code == ERR_OK)
        code = cfg_read(text, shown, a, &root, ps, err);
    if (code == ERR_OK)
        *ret = root;
    return code;
}

static enum err_code read_dvc(const char *dir, struct arena *a, struct pipeline_spec *s,
                              struct cfg_problems *ps, struct err *err)
{
    const char *path = path_join(a, dir, "dvc.yaml");
    const struct cfg_node *root = NULL;
    if (path == NULL)
        return arena_err(a, err);
    if (!file_exists(path))
        return err_set(err, ERR_NOT_FOUND,
                       "%s has no pawl.yaml (nor a dvc.yaml): pawl init proposes one", dir);
    enum err_code code = pipeline_read_yaml(path, "dvc.yaml", a, &root, ps, err);
    if (code != ERR_OK || root == NULL)
        return code;
    s->is_dvc = true;
    s->file.root = root;
    s->project.name = str_dup(a, str_c(path_base(dir)));
    s->train.params = json_obj(a);
    dvc_stages_decode(root, a, &s->steps, ps);
    return s->project.name != NULL ? ERR_OK : arena_err(a, err);
}

enum err_code pipeline_spec_read(const char *dir, struct arena *a, struct pipeline_spec *ret,
                                 struct cfg_problems *ps, struct err *err)
{
    struct pipeline_spec s = {.dir = dir, .file = {.dir = dir}};
    enum err_code code = project_read(dir, a, &s.file, ps, err);
    if (code == ERR_NOT_FOUND) {
        err_reset(err);
        code = read_dvc(dir, a, &s, ps, err);
        if (code == ERR_OK)
            *ret = s;
        return code;
    }
    const struct cfg_node *root = s.file.root;
    if (code != ERR_OK)
        return code;
    s.train.params = json_obj(a);
    if (root != NULL) {
        project_spec_decode(root, a, &s.project, ps);
        sources_spec_decode(cfg_get(root, "sources"), root, a, &s.sources, ps);
        checks_spec_decode(cfg_get(root, "checks"), root, &s.sources, a, &s.checks, ps);
        features_spec_decode(cfg_get(root, "features"), root, a, &s.features, ps);
        s.has_dataset = cfg_get(root, "dataset") != NULL;
        if (s.has_dataset)
            dataset_spec_decode(cfg_get(root, "dataset"), &s.sources, &s.features, a, &s.dataset,
                                ps);
        s.has_train = cfg_get(root, "train") != NULL;
        (void)train_spec_decode(cfg_get(root, "train"), root, a, &s.train, ps);
        user_steps_decode(cfg_get(root, "steps"), a, &s.steps, ps);
        code = pipeline_evaluate_decode(root, dir, a, &s.evaluate, ps, err);
        if (s.has_train && !s.has_dataset)
            cfg_error(
                ps, cfg_key_node(root, "train"),
                "train needs a dataset section: what are the rows, the label and the features?");
    }
    if (code == ERR_OK)
        *ret = s;
    return code;
}
