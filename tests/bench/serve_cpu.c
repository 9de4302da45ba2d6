/* Server CPU of one prediction against a bare libmicrohttpd reply that reads the same body and answers as many bytes.
 *
 *   bench_serve_cpu [SECONDS [ROUNDS]]       (needs wrk)
 *
 * Two children, one HTTP thread each: ours (endpoint with 100 trees of depth 6 over 20 fields, prediction log on) and the bare one.
 * wrk asks them in turn; CPU is the process's own clock, so the log's writer is counted. Prints us per request of both and the ratio. */
#include <math.h>
#include <microhttpd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/oip_http.h"
#include "audit/journal.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "blob/tree.h"
#include "engine/mlmodel.h"
#include "feedback/log.h"
#include "http/server.h"
#include "serve/serve.h"

#define N_FIELDS   20
#define N_TREES    100
#define DEPTH      6
#define N_NODES    ((1 << (DEPTH + 1)) - 1)
#define BODY_BYTES 4096
#define CONNS      16

static void need(enum err_code code, const struct err *err)
{
    if (code != ERR_OK) {
        fprintf(stderr, "bench_serve_cpu: %s\n", err->msg);
        exit(1);
    }
}

/* ---- a model of full trees ---- */

static void list_put(struct buf *b, const char *name, int n, int (*at)(int i))
{
    buf_printf(b, "\"%s\":[", name);
    for (int i = 0; i < n; i++)
        buf_printf(b, "%s%d", i ? "," : "", at(i));
    buf_c(b, "],");
}

static int left_at(int i)
{
    return 2 * i + 2 < N_NODES ? 2 * i + 1 : -1;
}
static int right_at(int i)
{
    return 2 * i + 2 < N_NODES ? 2 * i + 2 : -1;
}
static int parent_at(int i)
{
    return i ? (i - 1) / 2 : 2147483647;
}
static int zero_at(int i)
{
    return 0;
}

static void one_tree_put(struct buf *b, struct rng *rng, int id)
{
    buf_c(b, "{\"categories\":[],\"categories_nodes\":[],\"categories_segments\":[],\"categories_"
             "sizes\":[],");
    list_put(b, "left_children", N_NODES, left_at);
    list_put(b, "right_children", N_NODES, right_at);
    list_put(b, "parents", N_NODES, parent_at);
    list_put(b, "default_left", N_NODES, zero_at);
    list_put(b, "split_type", N_NODES, zero_at);
    list_put(b, "loss_changes", N_NODES, zero_at);
    list_put(b, "sum_hessian", N_NODES, zero_at);
    list_put(b, "base_weights", N_NODES, zero_at);
    buf_c(b, "\"split_indices\":[");
    for (int i = 0; i < N_NODES; i++)
        buf_printf(b, "%s%d", i ? "," : "", left_at(i) < 0 ? 0 : (int)rng_below(rng, N_FIELDS));
    buf_c(b, "],\"split_conditions\":[");
    for (int i = 0; i < N_NODES; i++)
        buf_printf(b, "%s%.7g", i ? "," : "",
                   left_at(i) < 0 ? rng_normal(rng) * 0.05 : rng_normal(rng));
    buf_printf(b,
               "],\"id\":%d,\"tree_param\":{\"num_deleted\":\"0\",\"num_feature\":\"%d\",\"num_"
               "nodes\":\"%d\","
               "\"size_leaf_vector\":\"0\"}}",
               id, N_FIELDS, N_NODES);
}

static void model_put(struct buf *b)
{
    struct rng rng;
    rng_init(&rng, 5);
    buf_printf(b,
               "{\"learner\":{\"attributes\":{},\"feature_names\":[],\"feature_types\":[],"
               "\"gradient_booster\":{\"model\":"
               "{\"gbtree_model_param\":{\"num_parallel_tree\":\"1\",\"num_trees\":\"%d\"},\"tree_"
               "info\":[",
               N_TREES);
    for (int i = 0; i < N_TREES; i++)
        buf_c(b, i ? ",0" : "0");
    buf_c(b, "],\"trees\":[");
    for (int i = 0; i < N_TREES; i++) {
        if (i)
            buf_ch(b, ',');
        one_tree_put(b, &rng, i);
    }
    buf_printf(
        b,
        "]},\"name\":\"gbtree\"},\"learner_model_param\":{\"base_score\":\"5E-1\",\"num_class\":"
        "\"0\","
        "\"num_feature\":\"%d\"},\"objective\":{\"name\":\"binary:logistic\",\"reg_loss_param\":"
        "{\"scale_pos_weight\":\"1\"}}},\"version\":[1,7,4]}",
        N_FIELDS);
}

static void body_put(struct buf *b)
{
    struct rng rng;
    char text[NUM_TEXT_BYTES];
    rng_init(&rng, 6);
    buf_printf(b, "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,%d],\"datatype\":\"FP32\",\"data\":[",
               N_FIELDS);
    for (int i = 0; i < N_FIELDS; i++) {
        num_f64(text, (double)(float)rng_normal(&rng));
        buf_printf(b, "%s%s", i ? "," : "", text);
    }
    buf_c(b, "]}]}");
}

/* ---- ours ---- */

static void endpoint_make(struct serve *s, struct blob_store *blobs, const char *dir,
                          struct arena *a)
{
    struct err err = ERR_INIT;
    struct buf b;
    struct digest model, tree;
    char hex[DIGEST_HEX_BYTES];
    const char *model_dir = path_join(a, dir, "model");
    struct json *doc = json_obj(a);
    struct serve_result res;
    buf_init(&b, 64 << 20);
    model_put(&b);
    struct model_write w = {
        .booster_json = buf_view(&b), .xgboost_version = "1.7.4", .at_us = US_PER_DAY};
    need(model_dir_write(model_dir, &w, a, &err), &err);
    buf_fini(&b);
    need(model_dir_digest(model_dir, a, &model, &err), &err);
    need(tree_put_dir(blobs, model_dir, &tree, &err), &err);
    digest_hex(&model, hex);
    json_set(a, doc, "model", json_cstr(a, hex));
    digest_hex(&tree, hex);
    json_set(a, doc, "tree", json_cstr(a, hex));
    struct serve_decision d = {
        .kind = SERVE_LIVE, .endpoint = "m", .actor = "bench", .release = 1, .doc = doc};
    need(serve_apply(s, &d, &res, &err), &err);
}

static void ours(const char *dir, int fd)
{
    struct err err = ERR_INIT;
    struct arena a;
    struct services sv = {0};
    struct http_route *routes;
    size_t n;
    int port;
    arena_init(&a, 256 << 20);
    struct feedback_log_options lo = {
        .dir = path_join(&a, dir, "predictions"), .may_write = true, .retain_bytes = 1};
    need(blob_open(path_join(&a, dir, "store"), &sv.blobs, &err), &err);
    need(journal_open(path_join(&a, dir, "decisions.log"), &sv.journal, NULL, &err), &err);
    need(feedback_log_open(&lo, &sv.log, &err), &err);
    struct serve_options so = {.dir = path_join(&a, dir, "serving"),
                               .blobs = sv.blobs,
                               .journal = sv.journal,
                               .log = sv.log};
    need(serve_open(&so, &sv.serve, &err), &err);
    endpoint_make(sv.serve, sv.blobs, dir, &a);
    need(oip_http_routes(&sv, &a, &routes, &n, &err), &err);
    struct http_options ho = {.n_threads = 1, .n_workers = 1};
    need(http_server_open(&ho, routes, n, &sv.server, &err), &err);
    port = http_server_port(sv.server);
    need(fd_write_all(fd, &port, sizeof port, &err), &err);
    for (;;) {
        sleep(1);
        feedback_log_retain(sv.log, clock_now_us(&CLOCK_SYSTEM));
    }
}

/* ---- the bare one ---- */

static struct MHD_Response *bare_response;

static enum MHD_Result bare_handle(void *cls, struct MHD_Connection *conn, const char *url,
                                   const char *method, const char *version, const char *data,
                                   size_t *n, void **state)
{
    static int mark;
    if (!*state) {
        *state = &mark;
        return MHD_YES;
    }
    if (*n) {
        *n = 0;
        return MHD_YES;
    }
    return MHD_queue_response(conn, 200, bare_response);
}

static void bare(const char *answer, int fd)
{
    struct err err = ERR_INIT;
    bare_response = MHD_create_response_from_buffer(strlen(answer), (void *)(uintptr_t)answer,
                                                    MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(bare_response, "Content-Type", "application/json");
    struct MHD_Daemon *d =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, bare_handle, NULL,
                         MHD_OPTION_CONNECTION_LIMIT, 1024u, MHD_OPTION_END);
    const union MHD_DaemonInfo *info = d ? MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT) : NULL;
    int port = info ? info->port : 0;
    need(fd_write_all(fd, &port, sizeof port, &err), &err);
    for (;;)
        pause();
}

/* ---- measuring ---- */

struct server {
    pid_t pid;
    int port;
    clockid_t clock;
    double cpu_us[64], rps[64];
};

/* Server and load on cores of their own. */
static void core_take(unsigned core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        fprintf(stderr, "bench_serve_cpu: not pinned to a core: the ratio will be noisy\n");
}

static void child_start(struct server *s, bool is_ours, const char *arg)
{
    int fds[2];
    struct err err = ERR_INIT;
    if (pipe(fds) != 0 || (s->pid = fork()) < 0)
        exit(1);
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        core_take(0);
        if (is_ours)
            ours(arg, fds[1]);
        else
            bare(arg, fds[1]);
    }
    need(fd_read_all(fds[0], &s->port, sizeof s->port, &err), &err);
    if (clock_getcpuclockid(s->pid, &s->clock) != 0)
        exit(1);
}

static double cpu_s(const struct server *s)
{
    struct timespec ts;
    clock_gettime(s->clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void measure(struct server *s, const char *lua, int seconds, int round)
{
    char command[512], line[512];
    double requests = 0, rps = 0;
    snprintf(command, sizeof command,
             "taskset -c 1 wrk -t1 -c%d -d%ds -s %s http://127.0.0.1:%d/v2/models/m/infer", CONNS,
             seconds, lua, s->port);
    double before = cpu_s(s);
    FILE *f = popen(command, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "DONE ", 5) == 0 && sscanf(line, "DONE %lf %lf", &requests, &rps) != 2)
            requests = 0;
        if (strstr(line, "Non-2xx") || strstr(line, "Socket errors"))
            fprintf(stderr, "%s", line);
    }
    if (!f || pclose(f) != 0 || requests < 1) {
        fprintf(stderr, "bench_serve_cpu: wrk gave no result\n");
        exit(1);
    }
    s->cpu_us[round] = (cpu_s(s) - before) / requests * 1e6;
    s->rps[round] = rps;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

static void lua_write(const char *path, struct str body)
{
    struct err err = ERR_INIT;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_printf(&b,
               "wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = "
               "\"application/json\"\nwrk.body = [==[%.*s]==]\n",
               STR_ARG(body));
    buf_c(&b, "function done(s, l, r) io.write(string.format(\"DONE %d %.1f\\n\", s.requests, "
              "s.requests / (s.duration / "
              "1e6))) end\n");
    need(file_write(path, buf_view(&b), 0600, &err), &err);
    buf_fini(&b);
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 3,
        rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 5;
    char dir[] = "/tmp/pawl-bench-XXXXXX", lua[64], answer[512];
    struct server s[2] = {0};
    struct err err = ERR_INIT;
    struct buf body;
    if (!mkdtemp(dir) || rounds < 1 || rounds > 64)
        return 1;
    buf_init(&body, BODY_BYTES);
    body_put(&body);
    snprintf(lua, sizeof lua, "%s/body.lua", dir);
    lua_write(lua, buf_view(&body));
    snprintf(
        answer, sizeof answer, "%s",
        "{\"model_name\":\"m\",\"model_version\":\"r1\",\"id\":\"018f2c5e-0000-7000-8000-00000000"
        "0001\",\"outputs\":[{\"name\":\"predict\",\"datatype\":\"FP32\",\"shape\":[1,1],\"data\":["
        "0.42086187]}]}");
    child_start(&s[0], true, dir);
    child_start(&s[1], false, answer);
    for (int i = 0; i < 2; i++)
        measure(&s[i], lua, 1, 0); /* warm */
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < 2; i++)
            measure(&s[i], lua, seconds, r);
    double a = median(s[0].cpu_us, rounds), b = median(s[1].cpu_us, rounds);
    printf("prediction %.2f us CPU, %.0f/s; bare reply %.2f us, %.0f/s; ratio %.2f\n", a,
           median(s[0].rps, rounds), b, median(s[1].rps, rounds), a / b);
    for (int i = 0; i < 2; i++) {
        kill(s[i].pid, SIGKILL);
        waitpid(s[i].pid, NULL, 0);
    }
    buf_fini(&body);
    return dir_remove(dir, &err) == ERR_OK ? 0 : 1;
}
