/* YAML to a tree with positions, and the decoders of the sections of pawl.yaml. */
#include "fuzz.h"

#include "config/config.h"
#include "data/source.h"
#include "evaluate/spec.h"
#include "features/dataset.h"
#include "features/view.h"
#include "validate/check.h"

static void decode(const struct cfg_node *root, struct arena *a, struct cfg_problems *ps)
{
    struct sources_spec sources = {0};
    struct checks_spec checks = {0};
    struct features_spec features = {0};
    struct dataset_spec dataset = {0};
    struct evaluate_spec evaluate = {0};
    if (root == NULL)
        return;
    sources_spec_decode(cfg_get(root, "sources"), root, a, &sources, ps);
    checks_spec_decode(cfg_get(root, "checks"), root, &sources, a, &checks, ps);
    features_spec_decode(cfg_get(root, "features"), root, a, &features, ps);
    dataset_spec_decode(cfg_get(root, "dataset"), &sources, &features, a, &dataset, ps);
    evaluate_spec_decode(cfg_get(root, "evaluate"), root, a, &evaluate, ps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_copy(data, size);
    struct arena a;
    struct err err = ERR_INIT;
    struct cfg_problems ps;
    struct cfg_node *root = NULL;
    arena_init(&a, FUZZ_ARENA_BYTES);
    cfg_problems_init(&ps, &a);
    if (cfg_read(str_n(text, size), "pawl.yaml", &a, &root, &ps, &err) == ERR_OK)
        decode(root, &a, &ps);
    (void)(cfg_problems_err(&ps, &err) == ERR_OK);
    arena_fini(&a);
    free(text);
    return 0;
}
