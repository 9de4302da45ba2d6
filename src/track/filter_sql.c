/* Clauses and order into one statement. */
#include <math.h>
#include <stdio.h>
#include <strings.h>

#include "base/check.h"
#include "track/filter.h"

#define SQL_BYTES_MAX   (1 << 18)
#define ORDER_ITEMS_MAX 20

struct maker {
    const struct filter_target *t;
    struct arena *arena;
    struct buf joins, where, order;
    struct db_arg join_args[ORDER_ITEMS_MAX];
    size_t n_join_args;
    struct db_arg where_args[FILTER_ARGS_MAX];
    size_t n_where_args;
    char ordered[ORDER_ITEMS_MAX][300]; /* what was ordered by already */
    size_t n_ordered;
    struct err *err;
};

static const char *const SQL_OPS[FILTER_OP_N] = {
    [FILTER_EQ] = "=",
    [FILTER_NE] = "<>",
    [FILTER_LT] = "<",
    [FILTER_LE] = "<=",
    [FILTER_GT] = ">",
    [FILTER_GE] = ">=",
    [FILTER_LIKE] = "LIKE",
    [FILTER_ILIKE] = "ILIKE",
    [FILTER_IN] = "IN",
    [FILTER_NOT_IN] = "NOT IN",
    [FILTER_IS_NULL] = "IS NULL",
    [FILTER_IS_NOT_NULL] = "IS NOT NULL",
};

static enum err_code arg_add(struct maker *m, struct db_arg arg)
{
    /* Room is left for limit, offset and the joins. */
    if (m->n_where_args + ORDER_ITEMS_MAX + 4 >= FILTER_ARGS_MAX)
        return err_set(m->err, ERR_LIMIT, "the filter compares with too many values");
    m->where_args[m->n_where_args++] = arg;
    return ERR_OK;
}

static enum err_code text_arg(struct maker *m, struct str s)
{
    return arg_add(m, (struct db_arg){.kind = 't', .u.t = s});
}

/* A LIKE pattern in which the backslash is an ordinary character. */
static enum err_code pattern_arg(struct maker *m, struct str s)
{
    struct buf b;
    buf_init(&b, s.n * 2 + 1);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\')
            buf_ch(&b, '\\');
        buf_ch(&b, s.p[i]);
    }
    char *copy = str_dup(m->arena, buf_view(&b));
    size_t n = b.n;
    buf_fini(&b);
    return copy ? text_arg(m, str_n(copy, n)) : arena_err(m->arena, m->err);
}

static enum err_code number_compare(struct maker *m, const char *expr,
                                    const struct filter_clause *c)
{
    if (!c->is_number || c->op >= FILTER_LIKE)
        return err_set(m->err, ERR_INVALID, "%s is a number: compare it by = != < <= > >= with one",
                       c->key);
    if (isnan(c->number))
        return err_set(m->err, ERR_INVALID, "%s cannot be compared with NaN", c->key);
    buf_printf(&m->where, "%s %s ?", expr, SQL_OPS[c->op]);
    double v = c->number;
    if (v == floor(v) && fabs(v) < 9e15)
        return arg_add(m, (struct db_arg){.kind = 'i', .u.i = (int64_t)v});
    return arg_add(m, (struct db_arg){.kind = 'f', .u.f = v});
}

static enum err_code list_compare(struct maker *m, const char *expr, const struct filter_clause *c)
{
    enum err_code code = ERR_OK;
    buf_printf(&m->where, "%s %s (", expr, SQL_OPS[c->op]);
    for (size_t i = 0; i < c->n_texts && code == ERR_OK; i++) {
        buf_c(&m->where, i ? ", ?" : "?");
        code = text_arg(m, c->texts[i]);
    }
    buf_ch(&m->where, ')');
    return code;
}

static enum err_code text_compare(struct maker *m, const char *expr, const struct filter_clause *c)
{
    if (c->is_number)
        return err_set(m->err, ERR_INVALID, "%s is a text: compare it with a quoted value", c->key);
    switch (c->op) {
    case FILTER_EQ:
    case FILTER_NE:
        buf_printf(&m->where, "%s %s ?", expr, SQL_OPS[c->op]);
        return text_arg(m, c->texts[0]);
    case FILTER_LIKE:
        buf_printf(&m->where, "%s LIKE ? ESCAPE '\\'", expr);
        return pattern_arg(m, c->texts[0]);
    case FILTER_ILIKE:
        buf_printf(&m->where, "lower(%s) LIKE lower(?) ESCAPE '\\'", expr);
        return pattern_arg(m, c->texts[0]);
    case FILTER_IN:
    case FILTER_NOT_IN:
        return list_compare(m, expr, c);
    case FILTER_LT:
    case FILTER_LE:
    case FILTER_GT:
    case FILTER_GE:
    case FILTER_IS_NULL:
    case FILTER_IS_NOT_NULL:
    case FILTER_OP_N:
        break;
    }
    return err_set(m->err, ERR_INVALID, "%s is a text and knows no %s", c->key, SQL_OPS[c->op]);
}

static const struct filter_attribute *attribute_find(const struct filter_attribute *list, size_t n,
                                                     const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

static enum err_code attribute_unknown(struct maker *m, const struct filter_attribute *list,
                                       size_t n, const char *name)
{
    const char *names[32];
    for (size_t i = 0; i < n && i < ARRAY_LEN(names); i++)
        names[i] = list[i].name;
    const char *near = str_nearest(str_c(name), names, n < ARRAY_LEN(names) ? n : ARRAY_LEN(names));
    return err_set(m->err, ERR_INVALID, "a %s has no attribute \"%s\"%s%s%s", m->t->what, name,
                   near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static enum err_code attribute_clause(struct maker *m, const struct filter_clause *c)
{
    const struct filter_attribute *x = attribute_find(m->t->attributes, m->t->n_attributes, c->key);
    if (!x)
        return attribute_unknown(m, m->t->attributes, m->t->n_attributes, c->key);
    return x->is_number ? number_compare(m, x->sql, c) : text_compare(m, x->sql, c);
}

static enum err_code dataset_clause(struct maker *m, const struct filter_clause *c)
{
    const struct filter_attribute *x = attribute_find(m->t->dataset, m->t->n_dataset, c->key);
    if (!x)
        return attribute_unknown(m, m->t->dataset, m->t->n_dataset, c->key);
    buf_printf(&m->where, "EXISTS (SELECT 1 FROM %s AND ", m->t->parts[FILTER_DATASET].exists);
    enum err_code code = text_compare(m, x->sql, c);
    buf_ch(&m->where, ')');
    return code;
}

static enum err_code part_clause(struct maker *m, const struct filter_clause *c)
{
    const struct filter_part *p = &m->t->parts[c->entity];
    if (!p->exists)
        return err_set(m->err, ERR_INVALID, "a %s has no such parts to filter by: %s", m->t->what,
                       c->key);
    if (c->entity == FILTER_DATASET)
        return dataset_clause(m, c);
    bool is_null_test = c->op == FILTER_IS_NULL || c->op == FILTER_IS_NOT_NULL;
    buf_printf(&m->where, "%sEXISTS (SELECT 1 FROM %s", c->op == FILTER_IS_NULL ? "NOT " : "",
               p->exists);
    enum err_code code = text_arg(m, str_c(c->key));
    if (code == ERR_OK && !is_null_test) {
        buf_c(&m->where, " AND ");
        code = p->is_number ? number_compare(m, p->value, c) : text_compare(m, p->value, c);
    }
    buf_ch(&m->where, ')');
    return code;
}

/* ---- order ---- */

static enum err_code ordered_once(struct maker *m, enum filter_entity entity, const char *key)
{
    char name[300];
    snprintf(name, sizeof(name), "%d %s", (int)entity, key);
    for (size_t i = 0; i < m->n_ordered; i++)
        if (strcmp(m->ordered[i], name) == 0)
            return err_set(m->err, ERR_INVALID, "the order names %s twice", key);
    if (m->n_ordered >= ORDER_ITEMS_MAX)
        return err_set(m->err, ERR_LIMIT, "an order has at most %d items", ORDER_ITEMS_MAX);
    memcpy(m->ordered[m->n_ordered++], name, sizeof(name));
    return ERR_OK;
}

/* `join` and `order` hold the alias as "o#". */
static void alias_put(struct buf *out, const char *text, size_t number)
{
    for (const char *p = text; *p; p++) {
        if (*p == '#')
            buf_printf(out, "%zu", number);
        else
            buf_ch(out, *p);
    }
}

static enum err_code order_put(struct maker *m, const struct filter_clause *c,
                               const char *direction)
{
    enum err_code code = ordered_once(m, c->entity, c->key);
    if (code != ERR_OK)
        return code;
    buf_c(&m->order, m->order.n ? ", " : "");
    if (c->entity == FILTER_ATTRIBUTE) {
        const struct filter_attribute *x =
            attribute_find(m->t->attributes, m->t->n_attributes, c->key);
        if (!x)
            return attribute_unknown(m, m->t->attributes, m->t->n_attributes, c->key);
        buf_printf(&m->order, "CASE WHEN %s IS NULL THEN 1 ELSE 0 END, %s %s", x->sql, x->sql,
                   direction);
        return ERR_OK;
    }
    const struct filter_part *p = &m->t->parts[c->entity];
    if (!p->join)
        return err_set(m->err, ERR_INVALID, "a %s cannot be ordered by %s", m->t->what, c->key);
    buf_ch(&m->joins, ' ');
    alias_put(&m->joins, p->join, m->n_join_args);
    alias_put(&m->order, p->order, m->n_join_args);
    buf_printf(&m->order, " %s", direction);
    m->join_args[m->n_join_args++] = (struct db_arg){.kind = 't', .u.t = str_c(c->key)};
    return ERR_OK;
}

/* "metrics.auc DESC": the subject is read by the filter's own scanner, by giving it a comparison.
 * */
static enum err_code order_item(struct maker *m, const char *item)
{
    struct filter_clause *c = NULL;
    size_t n = 0;
    struct str text = str_trim(str_c(item));
    const char *direction = "ASC";
    if (text.n > 5 && strncasecmp(text.p + text.n - 5, " DESC", 5) == 0) {
        direction = "DESC";
        text.n -= 5;
    } else if (text.n > 4 && strncasecmp(text.p + text.n - 4, " ASC", 4) == 0) {
        text.n -= 4;
    }
    char *probe = str_printf(m->arena, "%.*s IS NULL", STR_ARG(text));
    if (!probe)
        return arena_err(m->arena, m->err);
    if (filter_parse(probe, m->arena, &c, &n, NULL) != ERR_OK || n != 1)
        return err_set(m->err, ERR_INVALID,
                       "cannot order by \"%s\": use metrics.KEY, params.KEY, tags.KEY or an "
                       "attribute, then ASC or DESC",
                       item);
    return order_put(m, c, direction);
}

/* ---- the whole ---- */

static enum err_code where_make(struct maker *m, const struct search_query *q)
{
    struct filter_clause *list = NULL;
    size_t n = 0;
    enum err_code code = ERR_OK;
    if (q->filter && *q->filter)
        code = filter_parse(q->filter, m->arena, &list, &n, m->err);
    buf_c(&m->where, m->t->where ? m->t->where : "1 = 1");
    if (m->t->deleted && q->view != LIFE_ALL)
        buf_printf(&m->where, " AND %s = %d", m->t->deleted, q->view == LIFE_DELETED);
    if (q->n_experiment_ids > 0) {
        buf_c(&m->where, " AND r.experiment_id IN (");
        for (size_t i = 0; i < q->n_experiment_ids && code == ERR_OK; i++) {
            buf_c(&m->where, i ? ", ?" : "?");
            code = arg_add(m, (struct db_arg){.kind = 'i', .u.i = q->experiment_ids[i]});
        }
        buf_ch(&m->where, ')');
    }
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        buf_c(&m->where, " AND ");
        code = list[i].entity == FILTER_ATTRIBUTE ? attribute_clause(m, &list[i])
                                                  : part_clause(m, &list[i]);
    }
    return code;
}

static enum err_code assemble(struct maker *m, struct filter_sql *ret)
{
    struct buf sql;
    buf_init(&sql, SQL_BYTES_MAX);
    buf_printf(&sql, "SELECT %s FROM %s", m->t->columns, m->t->from);
    buf_str(&sql, buf_view(&m->joins));
    buf_c(&sql, " WHERE ");
    buf_str(&sql, buf_view(&m->where));
    buf_c(&sql, " ORDER BY ");
    buf_str(&sql, buf_view(&m->order));
    buf_printf(&sql, "%s%s LIMIT ? OFFSET ?", m->order.n ? ", " : "", m->t->default_order);
    enum err_code code = buf_ok(&sql, m->err);
    if (code == ERR_OK &&
        (buf_ok(&m->where, m->err) != ERR_OK || buf_ok(&m->order, m->err) != ERR_OK ||
         buf_ok(&m->joins, m->err) != ERR_OK))
        code = ERR_TOO_LARGE;
    ret->text = code == ERR_OK ? str_dup(m->arena, buf_view(&sql)) : NULL;
    buf_fini(&sql);
    if (code != ERR_OK)
        return code;
    memcpy(ret->args, m->join_args, m->n_join_args * sizeof(ret->args[0]));
    memcpy(ret->args + m->n_join_args, m->where_args, m->n_where_args * sizeof(ret->args[0]));
    ret->n_args = m->n_join_args + m->n_where_args;
    ret->args[ret->n_args++] = (struct db_arg){.kind = 'i', .u.i = ret->limit + 1};
    ret->args[ret->n_args++] = (struct db_arg){.kind = 'i', .u.i = ret->offset};
    return ret->text ? ERR_OK : arena_err(m->arena, m->err);
}

enum err_code filter_sql_make(const struct filter_target *t, const struct search_query *q,
                              struct arena *a, struct filter_sql *ret, struct err *err)
{
    ret->limit = q->limit;
    ret->offset = 0;
    if (q->limit < 1 || q->limit > SEARCH_LIMIT_MAX)
        return err_set(err, ERR_INVALID, "a search gives 1 to %d results at a time, not %lld",
                       SEARCH_LIMIT_MAX, (long long)q->limit);
    if (q->page_token && *q->page_token &&
        (parse_i64(str_c(q->page_token), &ret->offset, NULL) != ERR_OK || ret->offset < 0))
        return err_set(err, ERR_INVALID, "\"%s\" is no page token of this search", q->page_token);
    struct maker *m = ARENA_NEW(a, struct maker);
    if (!m)
        return arena_err(a, err);
    m->t = t;
    m->arena = a;
    m->err = err;
    buf_init(&m->joins, SQL_BYTES_MAX);
    buf_init(&m->where, SQL_BYTES_MAX);
    buf_init(&m->order, SQL_BYTES_MAX);
    enum err_code code = where_make(m, q);
    for (size_t i = 0; i < q->n_order_by && code == ERR_OK; i++)
        code = order_item(m, q->order_by[i]);
    if (code == ERR_OK)
        code = assemble(m, ret);
    buf_fini(&m->joins);
    buf_fini(&m->where);
    buf_fini(&m->order);
    return code;
}

enum err_code filter_next_token(const struct filter_sql *s, size_t n_rows, struct arena *a,
                                char **ret, struct err *err)
{
    *ret = NULL;
    if (n_rows <= (size_t)s->limit)
        return ERR_OK;
    *ret = str_printf(a, "%lld", (long long)(s->offset + s->limit));
    return *ret ? ERR_OK : arena_err(a, err);
}
