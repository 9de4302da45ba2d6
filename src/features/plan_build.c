/* Makes the plan document. From the items of dataset.features it follows what each needs: row
 * features need fields, looked-up columns and other row features; look-ups need keys; all of it
 * enters the document once, in an order in which each thing stands behind what it needs. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/vec.h"
#include "features/plan_build.h"

/* A row feature of the project: view and index. */
struct row_ref {
    const struct plan_row_view *view;
    size_t index;
    const char *name; /* in the plan: bare, or "view.name" where something else has that name */
    enum { ROW_UNSEEN, ROW_OPEN, ROW_DONE } state;
    size_t column; /* ROW_DONE: index in columns */
};

/* A look-up that some item asked for. */
struct build_lookup {
    const struct plan_view *view;
    const char *as; /* prefix of its columns */
    const struct plan_ref *ref;
    bool *is_used; /* per column of the view */
};

struct builder {
    const struct plan_spec *spec;
    struct arena *a;
    struct err *err;
    bool *is_request_used; /* per column of the rows */
    VEC(struct build_lookup) lookups;
    struct row_ref *rows;
    size_t n_rows;
    /* what expressions may name: request columns, all columns of all look-ups, finished row
     * features */
    struct expr_column *columns;
    size_t n_columns;
    struct json *row_doc, *inputs_doc;
    struct map *input_names;
};

/* ---- finding things ---- */

static ptrdiff_t find_request(const struct builder *b, struct str name)
{
    for (size_t i = 0; i < b->spec->n_columns; i++) {
        if (str_is(name, b->spec->columns[i].name))
            return (ptrdiff_t)i;
    }
    return -1;
}

static const struct plan_view *find_view(const struct builder *b, struct str name)
{
    for (size_t i = 0; i < b->spec->n_views; i++) {
        if (str_is(name, b->spec->views[i].name))
            return &b->spec->views[i];
    }
    return NULL;
}

static bool is_row_view(const struct builder *b, struct str name)
{
    for (size_t i = 0; i < b->spec->n_row_views; i++) {
        if (str_is(name, b->spec->row_views[i].name))
            return true;
    }
    return false;
}

/* "name" or "view.name". */
static struct row_ref *find_row(struct builder *b, struct str name)
{
    for (size_t i = 0; i < b->n_rows; i++) {
        const struct row_ref *r = &b->rows[i];
        const char *bare = r->view->names[r->index];
        size_t view_bytes = strlen(r->view->name);
        bool is_full = name.n == view_bytes + 1 + strlen(bare) &&
                       memcmp(name.p, r->view->name, view_bytes) == 0 &&
                       name.p[view_bytes] == '.' &&
                       str_is(str_n(name.p + view_bytes + 1, name.n - view_bytes - 1), bare);
        if (is_full || str_is(name, r->name))
            return &b->rows[i];
    }
    return NULL;
}

/* A look-up's column: "as.column", or its last part where only one look-up has it. */
static bool find_lookup_column(const struct builder *b, struct str name, size_t *ret_lookup,
                               size_t *ret_column)
{
    size_t n_bare = 0;
    for (size_t i = 0; i < b->lookups.n; i++) {
        const struct build_lookup *l = &b->lookups.p[i];
        size_t as_bytes = strlen(l->as);
        for (size_t k = 0; k < l->view->n_columns; k++) {
            const char *column = l->view->columns[k].name;
            bool is_full = name.n > as_bytes && memcmp(name.p, l->as, as_bytes) == 0 &&
                           name.p[as_bytes] == '.' &&
                           str_is(str_n(name.p + as_bytes + 1, name.n - as_bytes - 1), column);
            bool is_bare = str_is(name, column);
            if (is_full || is_bare) {
                *ret_lookup = i;
                *ret_column = k;
            }
            if (is_full)
                return true;
            n_bare += is_bare;
        }
    }
    return n_bare == 1;
}

static enum err_code no_such(struct builder *b, struct str name)
{
    size_t n = 0, cap = b->spec->n_columns + b->n_rows + 64;
    for (size_t i = 0; i < b->lookups.n; i++)
        cap += b->lookups.p[i].view->n_columns;
    const char **names = ARENA_NEW_N(b->a, const char *, cap);
    if (!names)
        return arena_err(b->a, b->err);
    for (size_t i = 0; i < b->spec->n_columns; i++)
        names[n++] = b->spec->columns[i].name;
    for (size_t i = 0; i < b->n_rows; i++)
        names[n++] = b->rows[i].name;
    for (size_t i = 0; i < b->lookups.n; i++) {
        for (size_t k = 0; k < b->lookups.p[i].view->n_columns; k++) {
            names[n] = str_printf(b->a, "%s.%s", b->lookups.p[i].as,
                                  b->lookups.p[i].view->columns[k].name);
            n += names[n] != NULL;
        }
    }
    const char *near = str_nearest(name, names, n);
    return err_set(b->err, ERR_INVALID,
                   "'%.*s' is no column of the rows, row feature or looked-up column%s%s%s",
                   STR_ARG(name), near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
}

/* ---- following what is needed ---- */

static enum err_code need(struct builder *b, struct str name, const char **ret_slot,
                          enum value_type *ret_type);

static enum err_code add_column(struct builder *b, const char *name, enum value_type type,
                                size_t *ret)
{
    if (b->n_columns >= EXPR_COLUMNS_MAX)
        return err_set(b->err, ERR_LIMIT, "more than %d fields and features", EXPR_COLUMNS_MAX);
    b->columns[b->n_columns] = (struct expr_column){name, type};
    *ret = b->n_columns++;
    return ERR_OK;
}

/* Compiles a row feature behind everything that it names, and writes it down. */
static enum err_code finish_row(struct builder *b, struct row_ref *r)
{
    const char *text = r->view->exprs[r->index], **names;
    size_t n;
    struct expr *e;
    enum err_code rc = expr_names(str_c(text), b->a, &names, &n, b->err);
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        const char *slot;
        enum value_type type;
        rc = need(b, str_c(names[i]), &slot, &type);
    }
    if (rc == ERR_OK)
        rc = expr_compile(str_c(text), b->columns, b->n_columns, b->a, &e, b->err);
    if (rc == ERR_OK)
        rc = add_column(b, r->name, expr_type(e), &r->column);
    if (rc != ERR_OK)
        return rc;
    struct json *o = json_obj(b->a);
    json_set(b->a, o, "name", json_cstr(b->a, r->name));
    json_set(b->a, o, "view", json_cstr(b->a, r->view->name));
    json_set(b->a, o, "expr", json_cstr(b->a, text));
    json_set(b->a, o, "type", json_cstr(b->a, value_type_name(expr_type(e))));
    json_add(b->a, b->row_doc, o);
    return ERR_OK;
}

static enum err_code need_row(struct builder *b, struct row_ref *r)
{
    if (r->state == ROW_DONE)
        return ERR_OK;
    if (r->state == ROW_OPEN)
        return err_set(b->err, ERR_INVALID, "row feature '%s' needs itself", r->name);
    r->state = ROW_OPEN;
    enum err_code rc = finish_row(b, r);
    r->state = ROW_DONE;
    return rc == ERR_OK
               ? rc
               : err_wrap(b->err, "features.%s.%s", r->view->name, r->view->names[r->index]);
}

static enum err_code need_lookup(struct builder *b, size_t lookup, size_t column,
                                 const char **ret_slot, enum value_type *ret_type)
{
    const struct build_lookup *l = &b->lookups.p[lookup];
    l->is_used[column] = true;
    for (size_t i = 0; i < l->ref->n_keys; i++) {
        ptrdiff_t from = find_request(b, str_c(l->ref->keys[i].from));
        CHECK(from >= 0); /* checked when the look-up was added */
        b->is_request_used[from] = true;
    }
    *ret_type = l->view->columns[column].type;
    *ret_slot = str_printf(b->a, "%s.%s", l->as, l->view->columns[column].name);
    return *ret_slot ? ERR_OK : arena_err(b->a, b->err);
}

/* Makes the thing of that name part of the plan; a row's column first, then row features, then
 * looked-up columns. */
static enum err_code need(struct builder *b, struct str name, const char **ret_slot,
                          enum value_type *ret_type)
{
    ptrdiff_t request = find_request(b, name);
    size_t lookup = 0, column = 0;
    if (request >= 0) {
        b->is_request_used[request] = true;
        *ret_slot = b->spec->columns[request].name;
        *ret_type = b->spec->columns[request].type;
        return ERR_OK;
    }
    struct row_ref *row = find_row(b, name);
    if (row) {
        enum err_code rc = need_row(b, row);
        if (rc != ERR_OK)
            return rc;
        *ret_slot = row->name;
        *ret_type = b->columns[row->column].type;
        return ERR_OK;
    }
    if (find_lookup_column(b, name, &lookup, &column))
        return need_lookup(b, lookup, column, ret_slot, ret_type);
    return no_such(b, name);
}

/* ---- the items ---- */

static enum err_code check_keys(struct builder *b, const struct plan_view *v,
                                const struct plan_ref *ref)
{
    if (ref->n_keys != v->n_entities)
        return err_set(b->err, ERR_INVALID, "view '%s' has %zu entity keys, the item names %zu",
                       v->name, v->n_entities, ref->n_keys);
    for (size_t i = 0; i < v->n_entities; i++) {
        const struct expr_column *entity = &v->entities[i];
        const char *from = NULL;
        for (size_t k = 0; k < ref->n_keys; k++)
            from = strcmp(ref->keys[k].entity, entity->name) == 0 ? ref->keys[k].from : from;
        if (!from)
            return err_set(b->err, ERR_INVALID, "key '%s' of view '%s' is not given", entity->name,
                           v->name);
        ptrdiff_t at = find_request(b, str_c(from));
        if (at < 0) {
            (void)no_such(b, str_c(from));
            return err_wrap(b->err, "key '%s'", entity->name);
        }
        if (b->spec->columns[at].type != entity->type)
            return err_set(b->err, ERR_INVALID, "key '%s' of view '%s' is %s, column '%s' is %s",
                           entity->name, v->name, value_type_name(entity->type), from,
                           value_type_name(b->spec->columns[at].type));
    }
    return ERR_OK;
}

/* View items come first, so that expressions may name their columns wherever the item stands. */
static enum err_code add_lookup(struct builder *b, const struct plan_ref *ref,
                                const struct plan_view *v)
{
    enum err_code rc = check_keys(b, v, ref);
    struct build_lookup *l = rc == ERR_OK ? VEC_ADD(b->a, &b->lookups) : NULL;
    if (rc != ERR_OK)
        return rc;
    if (!l)
        return arena_err(b->a, b->err);
    *l = (struct build_lookup){v, ref->prefix ? ref->prefix : v->name, ref,
                               ARENA_NEW_N(b->a, bool, v->n_columns)};
    if (!l->is_used)
        return arena_err(b->a, b->err);
    for (size_t i = 0; i + 1 < b->lookups.n; i++) {
        if (strcmp(b->lookups.p[i].as, l->as) == 0)
            return err_set(b->err, ERR_INVALID,
                           "view '%s' is looked up twice: give one of the items a name with `as:`",
                           l->as);
    }
    for (size_t i = 0; i < v->n_columns; i++) {
        size_t at;
        const char *name = str_printf(b->a, "%s.%s", l->as, v->columns[i].name);
        if (!name)
            return arena_err(b->a, b->err);
        rc = add_column(b, name, v->columns[i].type, &at);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code add_input(struct builder *b, struct str name)
{
    const char *slot = NULL;
    enum value_type type = VAL_NULL;
    enum err_code rc = need(b, name, &slot, &type);
    if (rc != ERR_OK)
        return rc;
    if (type == VAL_TIME)
        return err_set(b->err, ERR_INVALID,
                       "'%s' is a timestamp: derive numbers from it, such as hour(%s)", slot, slot);
    if (map_get(b->input_names, slot, strlen(slot)))
        return ERR_OK;
    if (!map_put(b->input_names, slot, strlen(slot), b))
        return arena_err(b->a, b->err);
    struct json *o = json_obj(b->a);
    json_set(b->a, o, "name", json_cstr(b->a, slot));
    json_set(b->a, o, "kind", json_cstr(b->a, type == VAL_STR ? "category" : "number"));
    if (type == VAL_STR)
        json_set(b->a, o, "categories", json_arr(b->a));
    json_add(b->a, b->inputs_doc, o);
    return ERR_OK;
}

/* Columns of a look-up: those listed, or all. */
static enum err_code add_lookup_inputs(struct builder *b, const struct build_lookup *l,
                                       const char *const *columns, size_t n_columns)
{
    enum err_code rc = ERR_OK;
    size_t n = columns ? n_columns : l->view->n_columns;
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        const char *name =
            str_printf(b->a, "%s.%s", l->as, columns ? columns[i] : l->view->columns[i].name);
        rc = name ? add_input(b, str_c(name)) : arena_err(b->a, b->err);
    }
    return rc;
}

static const struct build_lookup *lookup_of(const struct builder *b, const struct plan_ref *ref)
{
    for (size_t i = 0; i < b->lookups.n; i++) {
        if (b->lookups.p[i].ref == ref)
            return &b->lookups.p[i];
    }
    return NULL;
}

/* "view.*" */
static enum err_code add_all_of(struct builder *b, struct str view)
{
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < b->n_rows; i++) {
        if (str_is(view, b->rows[i].view->name))
            rc = add_input(b, str_c(b->rows[i].name));
    }
    for (size_t i = 0; rc == ERR_OK && i < b->lookups.n; i++) {
        if (str_is(view, b->lookups.p[i].as))
            return add_lookup_inputs(b, &b->lookups.p[i], NULL, 0);
    }
    if (rc == ERR_OK && !is_row_view(b, view))
        return err_set(b->err, ERR_INVALID,
                       "there is no row view '%.*s', and no item looks such a view up",
                       STR_ARG(view));
    return rc;
}

static enum err_code add_item(struct builder *b, const struct plan_ref *ref)
{
    const struct build_lookup *l = lookup_of(b, ref);
    struct str text = str_c(ref->text);
    if (l)
        return add_lookup_inputs(b, l, ref->columns, ref->n_columns);
    if (str_ends(text, STR(".*")))
        return add_all_of(b, str_n(text.p, text.n - 2));
    return add_input(b, text);
}

/* ---- the document ---- */

/* Every column that a row has when it is asked about may come with a request, so that the interface
 * does not change with each feature and assignment and slices have what they need; those that the
 * model reads must come. */
static struct json *request_doc(const struct builder *b)
{
    struct json *list = json_arr(b->a);
    for (size_t i = 0; i < b->spec->n_columns; i++) {
        const struct expr_column *c = &b->spec->columns[i];
        bool is_time = b->spec->time && strcmp(c->name, b->spec->time) == 0;
        if (!b->is_request_used[i] && c->type == VAL_NULL)
            continue;
        struct json *o = json_obj(b->a);
        json_set(b->a, o, "name", json_cstr(b->a, c->name));
        json_set(b->a, o, "type", json_cstr(b->a, value_type_name(c->type)));
        json_set(b->a, o, "required", json_bool(b->a, b->is_request_used[i] && !is_time));
        json_add(b->a, list, o);
    }
    return list;
}

/* A view's defaults: an object by column, or one value for all. */
static const struct json *default_of(const struct plan_view *v, const char *column)
{
    if (!v->defaults || v->defaults->type != JSON_OBJ)
        return v->defaults;
    return json_get(v->defaults, column);
}

static struct json *lookup_doc(const struct builder *b, const struct build_lookup *l)
{
    struct json *o = json_obj(b->a), *keys = json_arr(b->a), *columns = json_arr(b->a);
    for (size_t i = 0; i < l->view->n_entities; i++) {
        const char *entity = l->view->entities[i].name;
        for (size_t k = 0; k < l->ref->n_keys; k++) {
            if (strcmp(l->ref->keys[k].entity, entity) != 0)
                continue;
            struct json *key = json_obj(b->a);
            json_set(b->a, key, "entity", json_cstr(b->a, entity));
            json_add(b->a, keys,
                     json_set(b->a, key, "from", json_cstr(b->a, l->ref->keys[k].from)));
        }
    }
    for (size_t i = 0; i < l->view->n_columns; i++) {
        const struct json *value = default_of(l->view, l->view->columns[i].name);
        if (!l->is_used[i])
            continue;
        struct json *column = json_obj(b->a);
        json_set(b->a, column, "name", json_cstr(b->a, l->view->columns[i].name));
        json_set(b->a, column, "type", json_cstr(b->a, value_type_name(l->view->columns[i].type)));
        if (value && value->type != JSON_NULL)
            json_set(b->a, column, "default", json_copy(b->a, value));
        json_add(b->a, columns, column);
    }
    json_set(b->a, o, "view", json_cstr(b->a, l->view->name));
    json_set(b->a, o, "version", json_cstr(b->a, l->view->version));
    if (strcmp(l->as, l->view->name) != 0)
        json_set(b->a, o, "as", json_cstr(b->a, l->as));
    json_set(b->a, o, "key", keys);
    json_set(b->a, o, "columns", columns);
    json_set(b->a, o, "ttl_us", json_int(b->a, l->view->ttl_us > 0 ? l->view->ttl_us : 0));
    return json_set(b->a, o, "on_stale", json_cstr(b->a, plan_on_stale_name(l->view->on_stale)));
}

/* Look-ups of which a column is used. */
static struct json *lookups_doc(const struct builder *b)
{
    struct json *list = json_arr(b->a);
    for (size_t i = 0; i < b->lookups.n; i++) {
        bool is_used = false;
        for (size_t k = 0; k < b->lookups.p[i].view->n_columns; k++)
            is_used |= b->lookups.p[i].is_used[k];
        if (is_used)
            json_add(b->a, list, lookup_doc(b, &b->lookups.p[i]));
    }
    return list;
}

static struct json *document(const struct builder *b)
{
    struct json *o = json_obj(b->a);
    json_set(b->a, o, "format", json_int(b->a, PLAN_FORMAT));
    json_set(b->a, o, "expr", json_int(b->a, EXPR_VERSION));
    if (b->spec->time)
        json_set(b->a, o, "time", json_cstr(b->a, b->spec->time));
    json_set(b->a, o, "request", request_doc(b));
    json_set(b->a, o, "lookups", lookups_doc(b));
    json_set(b->a, o, "row", b->row_doc);
    return json_set(b->a, o, "inputs", b->inputs_doc);
}

/* ---- start ---- */

/* Row features by their bare name, or with their view where the name is taken. */
static enum err_code list_rows(struct builder *b)
{
    for (size_t i = 0; i < b->spec->n_row_views; i++)
        b->n_rows += b->spec->row_views[i].n;
    b->rows = ARENA_NEW_N(b->a, struct row_ref, b->n_rows);
    if (!b->rows)
        return arena_err(b->a, b->err);
    size_t n = 0;
    for (size_t i = 0; i < b->spec->n_row_views; i++) {
        const struct plan_row_view *v = &b->spec->row_views[i];
        for (size_t k = 0; k < v->n; k++) {
            bool is_taken = find_request(b, str_c(v->names[k])) >= 0;
            for (size_t before = 0; before < n; before++)
                is_taken |= strcmp(b->rows[before].name, v->names[k]) == 0;
            const char *name =
                is_taken ? str_printf(b->a, "%s.%s", v->name, v->names[k]) : v->names[k];
            if (!name)
                return arena_err(b->a, b->err);
            b->rows[n++] = (struct row_ref){.view = v, .index = k, .name = name};
        }
    }
    return ERR_OK;
}

static enum err_code start(struct builder *b)
{
    const struct plan_spec *s = b->spec;
    b->columns = ARENA_NEW_N(b->a, struct expr_column, EXPR_COLUMNS_MAX);
    b->is_request_used = ARENA_NEW_N(b->a, bool, s->n_columns);
    b->input_names = map_new(b->a);
    b->row_doc = json_arr(b->a);
    b->inputs_doc = json_arr(b->a);
    if (!b->columns || !b->is_request_used || !b->input_names)
        return arena_err(b->a, b->err);
    for (size_t i = 0; i < s->n_columns; i++) {
        size_t at;
        enum err_code rc = add_column(b, s->columns[i].name, s->columns[i].type, &at);
        if (rc != ERR_OK)
            return rc;
    }
    ptrdiff_t time = s->time ? find_request(b, str_c(s->time)) : -1;
    if (s->time && time < 0)
        return err_set(b->err, ERR_INVALID, "the time column '%s' is not among the rows' columns",
                       s->time);
    if (time >= 0)
        b->is_request_used[time] = true;
    return list_rows(b);
}

enum err_code plan_build(const struct plan_spec *spec, struct arena *a, struct json **ret,
                         struct err *err)
{
    struct builder b = {.spec = spec, .a = a, .err = err};
    enum err_code rc = start(&b);
    for (size_t i = 0; rc == ERR_OK && i < spec->n_refs; i++) {
        const struct plan_view *v = find_view(&b, str_c(spec->refs[i].text));
        if (v)
            rc = add_lookup(&b, &spec->refs[i], v);
        if (rc != ERR_OK)
            return err_wrap(err, "dataset.features[%zu] '%s'", i, spec->refs[i].text);
    }
    for (size_t i = 0; rc == ERR_OK && i < spec->n_refs; i++) {
        rc = add_item(&b, &spec->refs[i]);
        if (rc != ERR_OK)
            return err_wrap(err, "dataset.features[%zu] '%s'", i, spec->refs[i].text);
    }
    if (rc == ERR_OK && json_len(b.inputs_doc) == 0)
        return err_set(err, ERR_INVALID, "dataset.features: the model would have no input");
    if (rc == ERR_OK)
        *ret = document(&b);
    return rc;
}

/* ---- models that take their inputs as they come ---- */

enum err_code plan_build_plain(const struct signature *sig, const struct json *categories,
                               struct arena *a, struct json **ret, struct err *err)
{
    struct json *request = json_arr(a), *inputs = json_arr(a), *doc = json_obj(a);
    for (size_t i = 0; i < sig->n_inputs; i++) {
        const struct sig_field *f = &sig->inputs[i];
        enum value_type type = sig_type_value(f->type);
        if (!f->name || type == VAL_NULL || type == VAL_TIME)
            return err_set(err, ERR_UNSUPPORTED,
                           "input %zu %s (%s) is no named number, bool or string", i,
                           f->name ? f->name : "(unnamed)", sig_type_name(f->type));
        const struct json *list = json_get(categories, f->name);
        bool is_category = list != NULL || type == VAL_STR;
        struct json *field = json_obj(a), *input = json_obj(a);
        json_set(a, field, "name", json_cstr(a, f->name));
        json_set(a, field, "type", json_cstr(a, value_type_name(is_category ? VAL_STR : type)));
        json_add(a, request, json_set(a, field, "required", json_bool(a, f->is_required)));
        json_set(a, input, "name", json_cstr(a, f->name));
        json_set(a, input, "kind", json_cstr(a, is_category ? "category" : "number"));
        if (is_category)
            json_set(a, input, "categories", list ? json_copy(a, list) : json_arr(a));
        json_add(a, inputs, input);
    }
    json_set(a, doc, "format", json_int(a, PLAN_FORMAT));
    json_set(a, doc, "expr", json_int(a, EXPR_VERSION));
    json_set(a, doc, "request", request);
    json_set(a, doc, "lookups", json_arr(a));
    json_set(a, doc, "row", json_arr(a));
    *ret = json_set(a, doc, "inputs", inputs);
    return ERR_OK;
}
