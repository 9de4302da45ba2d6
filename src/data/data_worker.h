/* Worker operations of data/.
 *
 * data.profile  args {"binding":BINDING,"limits":LIMITS}
 *               result {"rows","columns":[{"name","sql_type","type"}],"files":[{"path","rows"}],
 *                       "time":{"column","min","max"},"known_at":{"max"},"profile":{…}}
 * (data/version.h) LIMITS, everywhere: {"threads":N,"memory_bytes":N,"temp_dir":ABS}; all optional.
 */
#ifndef PAWL_DATA_DATA_WORKER_H
#define PAWL_DATA_DATA_WORKER_H

#include "job/worker.h"
#include "table/table.h"

extern const struct worker_op DATA_WORKER_OPS[];
extern const size_t N_DATA_WORKER_OPS;

/* A session as `args.limits` asks. */
enum err_code data_worker_session(const struct json *args, struct table **ret,
                                  struct err *err) MUST_CHECK;
/* LIMITS for a call: half the machine's memory, temp_dir. */
struct json *data_worker_limits(const char *temp_dir, struct arena *a);

#endif
