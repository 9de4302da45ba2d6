/* validate.dataset: is the written training set what it claims to be?
 *
 * The rank of a single feature against the label (ROC AUC with ties at half, by the Mann-Whitney sum of ranks; folded at
 * 0.5; categories ranked by their own label mean on the other half of the rows, so that a column of many rare values is
 * not flattered) is computed by the engine in one query a feature. */
#include <math.h>

#include "base/check.h"
#include "data/data_worker.h"
#include "validate/check_int.h"

#define SHARED_COLUMNS_MAX 512
#define AUC_ROWS           200000 /* of the training split, spread over it */
#define PSI_BINS           10

struct leak {
    struct arena *a;
    struct table *t;
    const struct json *args, *features;
    struct table_column *cols;
    size_t n_cols;
    struct json *checks;
    struct buf sql;
    bool has_label;
};

static bool has_column(const struct leak *l, struct str name, const struct table_column **ret)
{
    for (size_t i = 0; i < l->n_cols; i++)
        if (str_eq(str_c(l->cols[i].name), name)) {
            if (ret != NULL)
                *ret = &l->cols[i];
            return true;
        }
    return false;
}

static enum err_code fetch(struct leak *l, size_t max_rows, struct table_values *ret,
                           struct err *err)
{
    enum err_code code = buf_ok(&l->sql, err);
    if (code == ERR_OK)
        code = table_fetch(l->t, TABLE_SQL(l->sql.p), max_rows, l->a, ret, err);
    buf_reset(&l->sql);
    return code;
}

static double number(const struct value *v)
{
    return v->type == VAL_INT ? (double)v->u.i : v->type == VAL_FLOAT ? v->u.f : NAN;
}

struct finding {
    const char *name, *verdict, *message;
    double observed, limit;
    struct str column; /* empty: none */
};

static void add(struct leak *l, const struct finding *f)
{
    struct json *v = json_obj(l->a);
    json_set(l->a, v, "name", json_cstr(l->a, f->name));
    json_set(l->a, v, "verdict", json_cstr(l->a, f->verdict));
    if (!isnan(f->observed))
        json_set(l->a, v, "observed", json_num(l->a, f->observed));
    if (!isnan(f->limit))
        json_set(l->a, v, "limit", json_num(l->a, f->limit));
    json_set(l->a, v, "message", json_cstr(l->a, f->message));
    if (f->column.n > 0)
        json_set(l->a, v, "columns", json_add(l->a, json_arr(l->a), json_str(l->a, f->column)));
    json_add(l->a, l->checks, v);
}

/* Rows of the test or validation split whose every column (but time and ordinal) is in the training split too. */
static enum err_code shared_rows(struct leak *l, struct err *err)
{
    const double limit = json_get_f64(l->args, "shared_max", 0.05);
    struct table_values got = {0};
    size_t n = 0;
    buf_c(&l->sql, "WITH h AS (SELECT __split, hash(");
    if (has_column(l, STR("__time"), NULL)) {
        buf_c(&l->sql, "__time");
        n++;
    }
    for (size_t i = 0; i < l->n_cols && n < SHARED_COLUMNS_MAX; i++) {
        if (str_starts(str_c(l->cols[i].name), STR("__")) || !l->cols[i].is_supported)
            continue;
        buf_c(&l->sql, n++ ? ", " : "");
        table_sql_ident(&l->sql, str_c(l->cols[i].name));
    }
    buf_c(&l->sql, ") AS k FROM ds) SELECT count(*), count(*) FILTER (WHERE k IN (SELECT k FROM h "
                   "WHERE __split = "
                   "'train')) FROM h WHERE __split <> 'train'");
    const enum err_code code = n > 0 ? fetch(l, 1, &got, err) : ERR_OK;
    buf_reset(&l->sql);
    if (code != ERR_OK || n == 0)
        return code;
    const double total = number(&got.p[0]), shared = number(&got.p[1]),
                 share = total > 0 ? shared / total : 0;
    add(l,
        &(struct finding){
            .name = "shared_rows",
            .verdict = total <= 0      ? "no_evidence"
                       : share > limit ? "fail"
                                       : "pass",
            .observed = share,
            .limit = limit,
            .message = str_printf(
                l->a,
                "%.0f of %.0f rows held out of training (%.3g %%) stand in training too, %.3g %% "
                "accepted",
                shared, total, 100 * share, 100 * limit)});
    return ERR_OK;
}

/* Splits by time come in order, with the label's gap between them: nothing known after the next split began. */
static enum err_code split_order(struct leak *l, struct err *err)
{
    struct table_values got = {0};
    const double gap_us = json_get_f64(l->args, "gap_us", 0);
    buf_c(&l->sql, "SELECT CAST(epoch_us(max(__time) FILTER (WHERE __split = 'train')) AS BIGINT), "
                   "CAST(epoch_us(min(__time) FILTER (WHERE __split = 'validation')) AS BIGINT), "
                   "CAST(epoch_us(max(__time) FILTER (WHERE __split = 'validation')) AS BIGINT), "
                   "CAST(epoch_us(min(__time) FILTER (WHERE __split = 'test')) AS BIGINT) FROM ds");
    const enum err_code code = fetch(l, 1, &got, err);
    if (code != ERR_OK)
        return code;
    static const char *const PAIRS[] = {"train and validation", "validation and test"};
    for (size_t i = 0; i < 2; i++) {
        const struct value *before = &got.p[2 * i], *after = &got.p[2 * i + 1];
        if (before->type == VAL_NULL || after->type == VAL_NULL)
            continue;
        const double gap = number(after) - number(before);
        /* Splits by group or by hash overlap in time by intent: then there is no gap to keep. */
        const bool is_by_time = gap_us > 0 || gap > 0;
        add(l, &(struct finding){.name = "split_gap",
                                 .verdict = !is_by_time     ? "no_evidence"
                                            : gap >= gap_us ? "pass"
                                                            : "fail",
                                 .observed = gap / US_PER_S,
                                 .limit = gap_us / US_PER_S,
                                 .message = str_printf(
                                     l->a, "%s are %.1f h apart, the label needs %.1f h", PAIRS[i],
                                     gap / (double)US_PER_HOUR, gap_us / (double)US_PER_HOUR)});
    }
    return ERR_OK;
}

/* A training row whose label was not known when the split ended could not have been there. */
static enum err_code known_in_time(struct leak *l, struct err *err)
{
    struct table_values got = {0};
    if (!has_column(l, STR("__known_at"), NULL))
        return ERR_OK;
    buf_c(&l->sql, "SELECT count(*), CAST(min(__row) AS BIGINT) FROM ds WHERE __known_at < __time");
    const enum err_code code = fetch(l, 1, &got, err);
    if (code != ERR_OK)
        return code;
    const double n = number(&got.p[0]);
    add(l,
        &(struct finding){
            .name = "label_known_after_row",
            .verdict = n > 0 ? "fail" : "pass",
            .observed = n,
            .limit = 0,
            .message =
                n > 0 ? str_printf(l->a,
                                   "%.0f rows have a label known before the row itself (first: row "
                                   "%.0f): check time: and known_at: of the source",
                                   n, number(&got.p[1]))
                      : "every label became known after its row"});
    return ERR_OK;
}

static enum err_code feature_auc(struct leak *l, struct str name, double *ret, struct err *err)
{
    const struct table_column *c = NULL;
    struct table_values got = {0};
    *ret = NAN;
    if (!has_column(l, name, &c) || !c->is_supported)
        return ERR_OK;
    /* x: the value itself, or for text the label mean of its group among the rows of the other parity. */
    buf_c(&l->sql, "WITH s AS (SELECT ");
    table_sql_ident(&l->sql, name);
    buf_printf(
        &l->sql,
        " AS v, __label AS y, __row %% 2 AS half FROM train_sample WHERE __label IS NOT NULL), ");
    if (c->type == VAL_STR)
        buf_c(&l->sql,
              "g AS (SELECT v, half, avg(y) AS m FROM s GROUP BY v, half), x AS (SELECT "
              "coalesce(g.m, (SELECT "
              "avg(y) FROM s)) AS v, s.y FROM s LEFT JOIN g ON g.v = s.v AND g.half <> s.half)");
    else
        buf_c(&l->sql, "x AS (SELECT v, y FROM s WHERE v IS NOT NULL)");
    buf_c(&l->sql, ", b AS (SELECT v, sum(CASE WHEN y > m THEN 1 ELSE 0 END) AS pos, count(*) AS n "
                   "FROM x, (SELECT avg(y) AS "
                   "m FROM x) GROUP BY v), r AS (SELECT pos, n, sum(n) OVER (ORDER BY v) - n + (n "
                   "+ 1) / 2.0 AS rank FROM b) "
                   "SELECT CAST(sum(pos) AS DOUBLE), CAST(sum(n) AS DOUBLE), CAST(sum(pos * rank) "
                   "AS DOUBLE) FROM r");
    const enum err_code code = fetch(l, 1, &got, err);
    if (code != ERR_OK)
        return err_wrap(err, "feature %.*s against the label", STR_ARG(name));
    const double pos = number(&got.p[0]), n = number(&got.p[1]), ranks = number(&got.p[2]),
                 neg = n - pos;
    if (!(pos > 0) || !(neg > 0))
        return ERR_OK;
    const double auc = (ranks - pos * (pos + 1) / 2) / (pos * neg);
    *ret = auc < 0.5 ? 1 - auc : auc;
    return ERR_OK;
}

static enum err_code too_good(struct leak *l, struct err *err)
{
    const double limit = json_get_f64(l->args, "auc_max", 0.98);
    double best = NAN;
    struct str best_name = STR_NONE;
    enum err_code code = ERR_OK;
    buf_printf(&l->sql,
               "CREATE TEMP TABLE train_sample AS SELECT * FROM ds WHERE __split = 'train' AND "
               "(hash(__row) %% 1000000) * "
               "(SELECT count(*) FROM ds WHERE __split = 'train') <= 1000000.0 * %d",
               AUC_ROWS);
    code = buf_ok(&l->sql, err);
    if (code == ERR_OK)
        code = table_exec(l->t, TABLE_SQL(l->sql.p), err);
    buf_reset(&l->sql);
    for (size_t i = 0; i < json_len(l->features) && code == ERR_OK; i++) {
        const struct str name = json_at(l->features, i)->u.s;
        double auc;
        code = feature_auc(l, name, &auc, err);
        if (code != ERR_OK || isnan(auc))
            continue;
        if (isnan(best) || auc > best) {
            best = auc;
            best_name = name;
        }
        if (auc > limit)
            add(l, &(struct finding){.name = "feature_predicts_label",
                                     .verdict = "fail",
                                     .observed = auc,
                                     .limit = limit,
                                     .column = name,
                                     .message = str_printf(l->a,
                                                           "%.*s alone predicts the label with AUC "
                                                           "%.4f (at most %.4g is believable): it "
                                                           "probably contains the label",
                                                           STR_ARG(name), auc, limit)});
    }
    if (code == ERR_OK && !isnan(best) && best <= limit)
        add(l, &(struct finding){
                   .name = "feature_predicts_label",
                   .verdict = "pass",
                   .observed = best,
                   .limit = limit,
                   .column = best_name,
                   .message = str_printf(l->a, "the best single feature, %.*s, reaches AUC %.4f",
                                         STR_ARG(best_name), best)});
    return code;
}

/* Label mean of train against validation and test: a split that shifted makes every later comparison doubtful. */
static enum err_code label_shift(struct leak *l, struct err *err)
{
    struct table_values got = {0};
    const double limit = json_get_f64(l->args, "shift_psi", 0.25);
    buf_printf(&l->sql,
               "WITH e AS (SELECT DISTINCT quantile_disc(__label, "
               "[0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9]) AS q FROM ds WHERE "
               "__split = 'train'), b AS (SELECT __split, len(list_filter(q, lambda x: x < "
               "__label)) AS bin FROM ds, e), c AS "
               "(SELECT __split, bin, count(*) AS n FROM b GROUP BY ALL), p AS (SELECT __split, "
               "bin, (n + 0.5) / (sum(n) OVER "
               "(PARTITION BY __split) + 0.5 * %d) AS p FROM c) SELECT o.__split, CAST(sum((o.p - "
               "t.p) * ln(o.p / t.p)) AS "
               "DOUBLE) FROM p o JOIN p t ON t.__split = 'train' AND t.bin = o.bin WHERE o.__split "
               "<> 'train' GROUP BY 1 "
               "ORDER BY 1",
               PSI_BINS);
    const enum err_code code = fetch(l, 16, &got, err);
    if (code != ERR_OK)
        return code;
    for (size_t i = 0; i < got.n_rows; i++) {
        const struct value *row = &got.p[i * got.n_cols];
        const double psi = number(&row[1]);
        add(l, &(struct finding){
                   .name = "split_shift",
                   .verdict = psi > limit ? "warn" : "pass",
                   .observed = psi,
                   .limit = limit,
                   .message = str_printf(
                       l->a, "the label of split %.*s differs from training's with psi %.4g",
                       STR_ARG(row[0].u.s), psi)});
    }
    return ERR_OK;
}

static const char *overall(const struct json *checks)
{
    const char *verdict = "pass";
    for (size_t i = 0; i < json_len(checks); i++) {
        const struct str v = json_get_str(json_at(checks, i), "verdict");
        if (str_is(v, "fail"))
            return "fail";
        if (str_is(v, "warn"))
            verdict = "warn";
    }
    return verdict;
}

static enum err_code leak_open(struct leak *l, struct err *err)
{
    const char *path = json_get_c(l->args, "path");
    if (path == NULL)
        return err_set(err, ERR_INVALID, "validate.dataset: path is missing");
    buf_c(&l->sql, "CREATE VIEW ds AS SELECT * FROM read_parquet(");
    table_sql_text(&l->sql, str_c(path));
    buf_c(&l->sql, ")");
    enum err_code code = buf_ok(&l->sql, err);
    if (code == ERR_OK)
        code = data_worker_session(l->args, &l->t, err);
    if (code == ERR_OK)
        code = table_exec(l->t, TABLE_SQL(l->sql.p), err);
    buf_reset(&l->sql);
    if (code == ERR_OK)
        code = table_describe(l->t, STR("SELECT * FROM ds"), l->a, &l->cols, &l->n_cols, err);
    l->has_label = code == ERR_OK && has_column(l, STR("__label"), NULL);
    return code;
}

enum err_code validate_dataset_op(struct worker *w, const struct json *args, struct json **ret,
                                  struct err *err)
{
    struct leak l = {.a = worker_arena(w), .args = args, .features = json_get(args, "features")};
    l.checks = json_arr(l.a);
    buf_init(&l.sql, VALIDATE_SQL_MAX);
    enum err_code code = leak_open(&l, err);
    if (code == ERR_OK)
        code = shared_rows(&l, err);
    if (code == ERR_OK && has_column(&l, STR("__time"), NULL))
        code = split_order(&l, err);
    if (code == ERR_OK)
        code = known_in_time(&l, err);
    if (code == ERR_OK && l.has_label)
        code = too_good(&l, err);
    if (code == ERR_OK && l.has_label)
        code = label_shift(&l, err);
    buf_fini(&l.sql);
    table_close(l.t);
    if (code != ERR_OK)
        return code;
    struct json *report = json_obj(l.a);
    json_set(l.a, report, "verdict", json_cstr(l.a, overall(l.checks)));
    *ret = json_set(l.a, report, "checks", l.checks);
    return ERR_OK;
}
