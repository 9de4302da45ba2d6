#include "validate/leakage.h"

enum err_code leakage_check_dataset(const struct data_env *env, const struct leakage_order *o,
                                    struct arena *a, struct json **ret, struct err *err)
{
    struct json *args = json_obj(a), *features = json_arr(a);
    for (size_t i = 0; i < o->n_features; i++)
        json_add(a, features, json_cstr(a, o->features[i]));
    json_set(a, args, "path", json_cstr(a, o->dataset_path));
    json_set(a, args, "features", features);
    json_set(a, args, "gap_us", json_int(a, o->gap_us));
    json_set(a, args, "auc_max", json_num(a, o->limits.auc_max));
    json_set(a, args, "shared_max", json_num(a, o->limits.shared_max));
    json_set(a, args, "shift_psi", json_num(a, o->limits.shift_psi));
    return data_env_call(env, "validate.dataset", args, a, ret, err);
}
