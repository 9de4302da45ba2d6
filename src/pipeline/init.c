#include "pipeline/init.h"

#include <math.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/vec.h"
#include "validate/check.h"

#define YAML_BYTES_MAX ((size_t)4 << 20)
#define FEW_CLASSES    20 /* a number with no more distinct values may be a class */
#define MANY_SHARE     0.5 /* a text with more distinct values than this share of the rows is an id */
#define CATEGORIES_MAX 5000

struct proposal {
    const struct init_options *o;
    const struct json *doc, *columns, *profile;
    struct arena *a;
    int64_t n_rows;
    const char *project, *source;
    const char *label_column; /* NULL when the label is an expression over several */
    const char *label, *task, *time, *group;
    int64_t span_us;
    struct json *features, *guessed;
};

const char *init_name(const char *path, struct arena *a)
{
    char *s = str_dup(a, str_c(path_base(path)));
    if (s == NULL)
        return NULL;
    s[strcspn(s, ".*")] = '\0';
    for (char *p = s; *p != '\0'; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + ('a' - 'A'));
        else if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-'))
            *p = '_';
    }
    return s[0] >= 'a' && s[0] <= 'z' ? s : str_printf(a, "data_%s", s);
}

static const struct json *column(const struct proposal *p, const char *name)
{
    for (size_t i = 0; i < json_len(p->columns); i++) {
        const char *have = json_get_c(json_at(p->columns, i), "name");
        if (have != NULL && name != NULL && strcmp(have, name) == 0)
            return json_at(p->columns, i);
    }
    return NULL;
}

static bool is_type(const struct json *col, const char *type)
{
    return str_is(json_get_str(col, "type"), type);
}

static int64_t distinct(const struct proposal *p, const char *name)
{
    return json_get_int(json_get(p->profile, name), "distinct", 0);
}

static void guess(struct proposal *p, const char *what)
{
    (void)json_add(p->a, p->guessed, json_cstr(p->a, what));
}

/* The first column of a type whose name is among the usual ones, in their order. */
static const char *by_name(const struct proposal *p, const char *const *usual, size_t n,
                           const char *type)
{
    for (size_t k = 0; k < n; k++) {
        const struct json *c = column(p, usual[k]);
        if (c != NULL && (type == NULL || is_type(c, type)))
            return usual[k];
    }
    return NULL;
}

static enum err_code choose_time(struct proposal *p, struct err *err)
{
    static const char *const USUAL[] = {"time",    "timestamp", "event_time", "event_timestamp",
                                        "date",    "datetime",  "at",         "created_at",
                                        "created", "ts",        "updated_at"};
    if (p->o->time != NULL) {
        if (column(p, p->o->time) == NULL)
            return err_set(err, ERR_NOT_FOUND, "%s has no column %s", p->o->file, p->o->time);
        p->time = p->o->time;
        return ERR_OK;
    }
    p->time = by_name(p, USUAL, ARRAY_LEN(USUAL), "timestamp");
    for (size_t i = 0; p->time == NULL && i < json_len(p->columns); i++) {
        if (is_type(json_at(p->columns, i), "timestamp"))
            p->time = json_get_c(json_at(p->columns, i), "name");
    }
    if (p->time != NULL)
        guess(p, "time");
    return ERR_OK;
}

static const char *guess_label(const struct proposal *p)
{
    static const char *const USUAL[] = {
        "label", "target",   "y",        "class",   "outcome",   "churn", "churned", "default",
        "fraud", "is_fraud", "survived", "clicked", "converted", "delay", "price",   "amount"};
    const char *name = by_name(p, USUAL, ARRAY_LEN(USUAL), NULL);
    for (size_t i = json_len(p->columns); name == NULL && i-- > 0;) {
        const char *c = json_get_c(json_at(p->columns, i), "name");
        if (c != NULL && (is_type(json_at(p->columns, i), "bool") || distinct(p, c) == 2))
            name = c;
    }
    for (size_t i = json_len(p->columns); name == NULL && i-- > 0;) {
        const char *c = json_get_c(json_at(p->columns, i), "name");
        if (c != NULL && (p->time == NULL || strcmp(c, p->time) != 0) &&
            !is_type(json_at(p->columns, i), "timestamp"))
            name = c;
    }
    return name;
}

/* Two texts or numbers: the rarer one is the thing to predict. */
static const char *two_valued(struct proposal *p, const char *name)
{
    const struct json *col = column(p, name), *prof = json_get(p->profile, name);
    double lo = json_get_f64(prof, "min", 0), hi = json_get_f64(prof, "max", 0);
    if (is_type(col, "bool") || (lo == 0 && hi == 1 && !is_type(col, "string")))
        return name;
    const struct json *top = json_get(prof, "top");
    const struct json *rare = json_at(top, json_len(top) - 1);
    struct str text = json_get_str(rare, "value");
    if (text.n > 0 && memchr(text.p, '\'', text.n) == NULL)
        return str_printf(p->a, "%s = '%.*s'", name, STR_ARG(text));
    char number[NUM_TEXT_BYTES];
    (void)num_f64(number, hi);
    return str_printf(p->a, "%s = %s", name, number);
}

static enum err_code choose_label(struct proposal *p, struct err *err)
{
    const char *name = p->o->label;
    if (name == NULL) {
        name = guess_label(p);
        guess(p, "label");
    }
    if (name == NULL)
        return err_set(err, ERR_INVALID, "%s has no column that could be a label: name one",
                       p->o->file);
    const struct json *col = column(p, name);
    if (col == NULL) { /* an expression, a condition as a rule */
        p->label = name;
        p->task = strpbrk(name, "<>=") != NULL ? "binary" : "regression";
        for (size_t i = 0; i < json_len(p->columns); i++) {
            const char *c = json_get_c(json_at(p->columns, i), "name");
            if (c != NULL && strncmp(name, c, strlen(c)) == 0)
                p->label_column = c;
        }
        return ERR_OK;
    }
    int64_t n = distinct(p, name);
    p->label_column = p->label = name;
    if (is_type(col, "bool") || n == 2) {
        p->task = "binary";
        p->label = two_valued(p, name);
    } else if (is_type(col, "string")) {
        p->task = "multiclass";
    } else {
        p->task = "regression";
    }
    return p->label != NULL ? ERR_OK : arena_err(p->a, err);
}

/* What a model may read: not the label, no ids, no times as such, no texts with endless values. */
static void choose_features(struct proposal *p)
{
    for (size_t i = 0; i < json_len(p->columns); i++) {
        const struct json *c = json_at(p->columns, i);
        const char *name = json_get_c(c, "name");
        if (name == NULL || is_type(c, "timestamp") ||
            (p->label_column != NULL && strcmp(name, p->label_column) == 0))
            continue;
        int64_t n = distinct(p, name);
        bool is_text = is_type(c, "string");
        bool is_id = (double)n > MANY_SHARE * (double)p->n_rows && (is_text || is_type(c, "int")) &&
                     p->n_rows > 100;
        if (is_id && is_type(c, "int") && json_get_f64(json_get(p->profile, name), "std", 0) > 0)
            is_id = n == p->n_rows;
        if (is_id && p->group == NULL && n == p->n_rows)
            p->group = name;
        if (n <= 1 || is_id || (is_text && n > CATEGORIES_MAX))
            continue;
        (void)json_add(p->a, p->features, json_cstr(p->a, name));
    }
}

/* ---- the text ---- */

static void put_quoted(struct buf *out, const char *text)
{
    bool is_plain =
        text[0] != '\0' &&
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./*-") ==
            strlen(text) &&
        text[0] != '*' && text[0] != '-';
    if (is_plain)
        buf_c(out, text);
    else
        json_write_str(out, str_c(text));
}

static void put_head(const struct proposal *p, struct buf *out)
{
    buf_printf(out,
               "# Proposed by `pawl init` from %s (%lld rows). Everything here may be changed;\n",
               p->o->file, (long long)p->n_rows);
    buf_c(out, "# `pawl check` finds mistakes, `pawl run` builds, evaluates and registers a first "
               "model.\n");
    buf_printf(out, "pawl: 1\nproject: %s\ntask: %s%s\n", p->project, p->task,
               p->o->label == NULL ? "                              # guessed from the label" : "");
    buf_c(out, "# owners: { business: you@example.com, ml: you@example.com, on_call: { first: you "
               "} }\n\n");
    buf_printf(out, "sources:\n  %s:\n    path: ", p->source);
    put_quoted(out, p->o->file);
    buf_c(out, "\n");
    if (p->time == NULL) {
        buf_c(out, "    # time: COLUMN                       # when a row happened: allows splits "
                   "by time\n\n");
        return;
    }
    buf_c(out, "    time: ");
    put_quoted(out, p->time);
    buf_c(out, p->o->time == NULL ? "                            # guessed: when the row happened\n"
                                  : "\n");
    buf_c(out, "    # available_after: 1h                # if a row is known only that long after "
               "its time\n"
               "    # freshness: 36h                     # how old the newest row may be\n\n");
}

static void put_features(const struct proposal *p, struct buf *out)
{
    if (p->time != NULL) {
        buf_c(out, "features:\n  request:                               # the same code in "
                   "training and in serving\n"
                   "    row:\n");
        buf_printf(out, "      hour: hour(%s)\n      weekday: dayofweek(%s)\n\n", p->time, p->time);
    }
    if (p->time == NULL && p->group == NULL)
        buf_printf(
            out,
            "dataset:\n  rows: { sql: \"SELECT row_number() OVER () AS row_number, * FROM %s\" }\n",
            p->source);
    else
        buf_printf(out, "dataset:\n  rows: %s\n", p->source);
    buf_c(out, "  label: ");
    put_quoted(out, p->label);
    buf_c(out, p->o->label == NULL
                   ? "                           # guessed: what shall be predicted\n"
                   : "\n");
    if (p->time != NULL)
        buf_c(out,
              "  # label_after: 13h                     # the latest that the truth is known\n");
    buf_c(out, "  features: [");
    if (p->time != NULL)
        buf_c(out, "request.*");
    for (size_t i = 0; i < json_len(p->features); i++) {
        buf_c(out, i > 0 || p->time != NULL ? ", " : "");
        put_quoted(out, json_at(p->features, i)->u.s.p);
    }
    buf_c(out, "]\n");
}

/* A seventh each for validation and test; whole days where there are enough. */
static void put_split(const struct proposal *p, struct buf *out)
{
    char part[NUM_TEXT_BYTES];
    if (p->time == NULL) {
        buf_printf(out, "  split: { by: group, group: %s, validation: 15%%, test: 15%% }\n\n",
                   p->group != NULL ? p->group : "row_number");
        return;
    }
    int64_t seventh = p->span_us / 7;
    int64_t unit = seventh >= US_PER_DAY    ? US_PER_DAY
                   : seventh >= US_PER_HOUR ? US_PER_HOUR
                                            : US_PER_MIN;
    int64_t us = seventh / unit > 0 ? seventh / unit * unit : unit;
    (void)duration_text(part, us);
    buf_printf(out, "  split: { by: time, validation: %s, test: %s }\n", part, part);
    if (p->span_us >= 30 * US_PER_DAY)
        buf_c(out, "  benchmark: { hold_out: 10%, by: day, seed: 1, refresh: 90d }   # fixed days "
                   "that gates "
                   "compare on\n");
    buf_c(out, "\n");
}

static void put_tail(const struct proposal *p, struct buf *out)
{
    bool is_binary = strcmp(p->task, "binary") == 0, is_multi = strcmp(p->task, "multiclass") == 0;
    const char *metric = is_binary ? "roc_auc" : is_multi ? "accuracy" : "rmse";
    buf_c(out,
          "train:\n  engine: xgboost                        # or  run: python train.py\n"
          "  params: { max_depth: 6, eta: 0.1, rounds: 200, early_stopping: 20 }\n  seed: 7\n\n");
    buf_printf(out, "evaluate:\n  metrics: [%s%s]\n", metric,
               is_binary  ? ", normalized_log_loss, ece"
               : is_multi ? ""
                          : ", mae");
    if (is_binary)
        buf_c(out, "  threshold: { maximize: f1, split: validation }\n");
    buf_c(out, "\ngates:\n");
    buf_printf(out,
               "  - { metric: %s, against: [incumbent], no_worse_by: %s, confidence: 95%%, "
               "baseline: { predict: %s } }\n",
               metric, is_binary || is_multi ? "0.005" : "0.1",
               is_binary || is_multi ? "majority" : "mean");
    buf_c(out, "  - { latency_p99: 5ms }\n  - { checks: pass }\n\n");
    buf_printf(out, "endpoint:\n  name: %s\n", p->project);
}

static enum err_code write_yaml(const struct proposal *p, struct str *ret, struct err *err)
{
    struct buf out;
    struct str checks = STR_NONE;
    buf_init(&out, YAML_BYTES_MAX);
    enum err_code code = checks_infer(p->doc, p->a, &checks, err);
    if (code == ERR_OK) {
        put_head(p, &out);
        buf_printf(
            &out,
            "checks:                                  # from what was seen: tighten them\n%.*s\n",
            STR_ARG(checks));
        put_features(p, &out);
        put_split(p, &out);
        put_tail(p, &out);
        code = buf_ok(&out, err);
    }
    char *text = code == ERR_OK ? str_dup(p->a, buf_view(&out)) : NULL;
    if (code == ERR_OK && text == NULL)
        code = arena_err(p->a, err);
    if (code == ERR_OK)
        *ret = str_c(text);
    buf_fini(&out);
    return code;
}

enum err_code init_propose(const struct init_options *o, const struct json *version_doc,
                           struct arena *a, struct str *ret_yaml, struct json **ret_doc,
                           struct err *err)
{
    struct proposal p = {.o = o,
                         .doc = version_doc,
                         .columns = json_get(version_doc, "columns"),
                         .profile = json_get(version_doc, "profile"),
                         .a = a,
                         .n_rows = json_get_int(version_doc, "rows", 0),
                         .features = json_arr(a),
                         .guessed = json_arr(a)};
    p.source = json_get_c(version_doc, "source");
    p.project = o->project != NULL ? o->project : init_name(o->file, a);
    if (json_len(p.columns) == 0)
        return err_set(err, ERR_INVALID, "%s has no columns", o->file);
    enum err_code code = choose_time(&p, err);
    if (code == ERR_OK)
        code = choose_label(&p, err);
    if (code != ERR_OK)
        return code;
    choose_features(&p);
    const struct json *time = p.time != NULL ? json_get(p.profile, p.time) : NULL;
    int64_t from = json_get_time(time, "min"), to = json_get_time(time, "max");
    p.span_us = from != AT_US_NONE && to != AT_US_NONE && to > from ? to - from : US_PER_DAY;
    code = write_yaml(&p, ret_yaml, err);
    if (code != ERR_OK)
        return code;
    struct json *d = json_obj(a);
    (void)json_set(a, d, "project", json_cstr(a, p.project));
    (void)json_set(a, d, "task", json_cstr(a, p.task));
    (void)json_set(a, d, "label", json_cstr(a, p.label));
    (void)json_set(a, d, "time", json_cstr(a, p.time));
    (void)json_set(a, d, "features", p.features);
    *ret_doc = json_set(a, d, "guessed", p.guessed);
    return ERR_OK;
}
