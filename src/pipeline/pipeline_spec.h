/* pawl.yaml decoded: every section that the pipeline is made of, by its own module's decoder. Private to pipeline/. */
#ifndef PAWL_PIPELINE_PIPELINE_SPEC_H
#define PAWL_PIPELINE_PIPELINE_SPEC_H

#include "data/source.h"
#include "features/dataset.h"
#include "features/view.h"
#include "pipeline/evaluate_of_spec.h"
#include "pipeline/user_steps.h"
#include "project/project.h"
#include "train/train.h"
#include "validate/check.h"

struct pipeline_spec {
    const char *dir; /* absolute */
    bool is_dvc;     /* stages of a dvc.yaml, nothing else */
    struct project_file file;
    struct project_spec project;
    struct sources_spec sources;
    struct checks_spec checks;
    struct features_spec features;
    bool has_dataset, has_train;
    struct dataset_spec dataset;
    struct train_spec train;
    struct pipeline_evaluate evaluate;
    struct user_steps steps;
};

/* Problems go to ps; *ret is usable as far as it goes. ERR_NOT_FOUND when the folder has neither pawl.yaml nor dvc.yaml. */
enum err_code pipeline_spec_read(const char *dir, struct arena *a, struct pipeline_spec *ret,
                                 struct cfg_problems *ps, struct err *err) MUST_CHECK;

#endif
