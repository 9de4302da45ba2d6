/* Model files of every format: what reads is asked for one row of missing values and one of zeros. */
#include "fuzz.h"

#include <math.h>

#include "model/tree_model.h"

static void ask(const struct tree_model *m)
{
    size_t n = tree_model_n_inputs(m);
    float *row = calloc(n + 1, sizeof *row),
          *out = calloc(tree_model_n_outputs(m) + 1, sizeof *out);
    float *scratch = calloc(tree_model_scratch_floats(m) + 1, sizeof *scratch);
    if (row == NULL || out == NULL || scratch == NULL)
        abort();
    tree_model_predict(m, row, 1, scratch, out);
    for (size_t i = 0; i < n; i++)
        row[i] = NAN;
    tree_model_predict(m, row, 1, scratch, out);
    free(row);
    free(out);
    free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_copy(data, size);
    struct tree_model *m = NULL;
    struct err err = ERR_INIT;
    if (tree_model_read(str_n(text, size), &m, &err) == ERR_OK)
        ask(m);
    tree_model_free(m);
    free(text);
    return 0;
}
