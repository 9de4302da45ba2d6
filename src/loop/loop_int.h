/* Inside of loop/: endpoints, their projects and what the loop remembers of them. Private to the folder. */
#ifndef PAWL_LOOP_LOOP_INT_H
#define PAWL_LOOP_LOOP_INT_H

#include "alert/alert.h"
#include "base/thread.h"
#include "base/vec.h"
#include "data/version.h"
#include "features/view.h"
#include "loop/loop.h"
#include "monitor/source_state.h"
#include "validate/check.h"

#define LOOP_RANK          1 /* held over everything the loop does, a run of the pipeline included */
#define LOOP_STATE_RANK    9000 /* a leaf: what others may look at */
#define LOOP_SOURCES_MAX   64
#define LOOP_SCRATCH_BYTES ((size_t)512 << 20)
#define PROJECT_BYTES      ((size_t)64 << 20)

/* The live release's revision, decoded; replaced as a whole when another revision goes live. */
struct loop_project {
    struct arena arena;
    const char *name, *revision;
    struct policy policy;
    struct sources_spec sources;
    struct checks_spec checks;
    struct features_spec features;
    struct trigger_spec triggers;
};

struct loop_source {
    char name[128];
    char seen[DIGEST_HEX_BYTES],
        good[DIGEST_HEX_BYTES]; /* newest version looked at; newest that passed; "" none */
    int64_t newest_us;          /* newest row of the newest version */
    int64_t good_newest_us;
    int64_t blocked_us; /* AT_US_NONE: not blocked */
    char blocked_by[512];
    char owner[128];
    int64_t freshness_us;
};

struct loop_pending { /* a reason for a lap that has not been used yet */
    bool is_set;
    int64_t at_us;
    char text[256];
};

struct loop_endpoint {
    char name[ENDPOINT_NAME_MAX + 1];
    struct loop_project *project;   /* NULL: its live release names no revision */
    struct loop_project *candidate; /* of the rollout, where its revision is another one; NULL */
    struct loop_source sources[LOOP_SOURCES_MAX];
    size_t n_sources;
    struct loop_source shown[LOOP_SOURCES_MAX]; /* copy for lookers, under the loop's state_mutex */
    size_t n_shown;
    struct lap_job *job; /* a lap that runs beside the turns (system clock); NULL: none */
    struct loop_pending pending[TRIGGER_KIND_N];
    int64_t last_lap_us;      /* AT_US_NONE: none */
    int64_t schedule_from_us; /* schedules after this are due */
    int64_t looked_mono_ns;
    bool is_loaded, needs_materialize;
    struct loop_endpoint *next;
};

struct loop {
    struct loop_options opt;
    struct mutex mutex;       /* one turn at a time */
    struct mutex state_mutex; /* over copies of sources for loop_sources */
    struct cond wake;
    pthread_t thread;
    bool is_started, is_stopping, is_woken;
    struct loop_endpoint *endpoints;
    char problem[512]; /* why the last look failed; under state_mutex */
};

/* One turn of an endpoint at a time. */
struct turn {
    struct loop *l;
    struct loop_endpoint *ep;
    int64_t now_us;
    struct arena *a;
    struct json *answer; /* grows: what was done */
    struct err *err;
};

/* loop_project.c */
enum err_code loop_project_refresh(struct turn *t) MUST_CHECK;
void loop_project_free(struct loop_project *p);
struct data_env loop_data_env(const struct turn *t);
/* loop_state.c */
enum err_code loop_state_load(struct turn *t) MUST_CHECK;
enum err_code loop_state_save(struct turn *t) MUST_CHECK;
struct loop_source *loop_source_get(struct loop_endpoint *ep, struct str name); /* NULL: too many */
/* loop_data.c */
enum err_code loop_data_look(struct turn *t) MUST_CHECK;
/* Sources and views of a rollout's candidate; before loop_materialize. */
enum err_code loop_candidate(struct turn *t) MUST_CHECK;
/* A revision's sections, decoded. */
enum err_code loop_project_load(struct turn *t, const char *name, const char *revision,
                                struct loop_project **ret) MUST_CHECK;
enum err_code loop_look_at_source(struct turn *t, const struct data_env *env,
                                  const struct source_spec *spec) MUST_CHECK;
enum err_code loop_materialize(struct turn *t) MUST_CHECK;
bool loop_is_blocked(const struct loop_endpoint *ep, const char **ret_source);
/* loop_watch.c */
enum err_code loop_watch(struct turn *t) MUST_CHECK;
enum err_code loop_rollout(struct turn *t) MUST_CHECK;
/* lap.c */
enum err_code loop_triggers(struct turn *t) MUST_CHECK;
void loop_job_join(struct loop_endpoint *ep); /* waits for its lap; NULL job is fine */
/* loop_alert.c */
struct loop_alarm {
    const char *rule, *object;
    enum alert_severity severity;
    const char *box;     /* whose owner is named */
    const char *runbook; /* file name in docs/runbooks */
    const char *summary;
    const struct json *evidence;
};
enum err_code loop_raise(struct turn *t, const struct loop_alarm *al) MUST_CHECK;
enum err_code loop_settle(struct turn *t, const char *rule, const char *object,
                          const char *why) MUST_CHECK;

#endif
