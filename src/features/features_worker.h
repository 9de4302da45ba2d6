/* Worker operations of features/.
 *
 * features.describe     args {"views":[VIEW…],"bindings","limits"} ->
 * [{"name","reads","columns","version"}]  (features/view.h) features.future       args
 * {"views","bindings","limits"} -> report of views_check_future features.dataset      args
 * {"dataset":SPEC,"views","bindings","as_of","benchmark_until","out","limits"} -> dataset_build's
 * ret features.join         args
 * {"views","bindings","rows":PATH,"time","wanted","keys","out","limits"} -> features_join's ret
 * features.materialize  args {"names":[VIEW…],"views","bindings","to","keep":{VIEW:us},"previous":{VIEW:{VERSION:PATH}},
 *                            "out":PREFIX,"limits"}
 *                       -> {"views":[{"view","version","rows_new","rows_total","newest","duration_ms","rows":PATH,
 *                            "snapshot":PATH when rows are new}]}; writes PREFIX-VIEW.rows and PREFIX-VIEW.parquet
 * features.view         args {"view":NAME,"views","bindings","as_of","out","limits"} ->
 * {"view","version","rows","digest"}: a view as Parquet features.names        args
 * {"texts":[{"text","is_expression"}]} -> [[names…]…]: columns named by SQL */
#ifndef PAWL_FEATURES_FEATURES_WORKER_H
#define PAWL_FEATURES_FEATURES_WORKER_H

#include "job/worker.h"

extern const struct worker_op FEATURES_WORKER_OPS[];
extern const size_t N_FEATURES_WORKER_OPS;

#endif
