/* Routes compiled once into a tree of path segments: static children by binary search, then one parameter child, then
 * a tail. A static segment is tried before a parameter, a parameter before a tail. The hot paths need four short
 * comparisons, so they have no table of their own. */
#include <stdlib.h>

#include "base/check.h"
#include "base/vec.h"
#include "http/server_int.h"

#define SEGMENTS_MAX 32

struct method_row {
    const char *method;
    const struct http_route *route;
    const char *param_names[HTTP_PARAMS_MAX];
    size_t n_params;
    struct method_row *next;
};

struct node {
    struct str segment;
    struct node *child; /* static children, then sorted into `sorted` */
    struct node *sibling;
    struct node **sorted;
    size_t n_sorted;
    struct node *param;
    struct method_row *methods; /* routes that end here */
    struct method_row *tail;    /* routes that end in {name*} here */
    const char *allowed;        /* "GET, POST" of both */
};

struct route_tree {
    struct node root;
};

static struct node *child_get(struct node *at, struct str seg, struct arena *a)
{
    for (struct node *c = at->child; c; c = c->sibling)
        if (str_eq(c->segment, seg))
            return c;
    struct node *c = ARENA_NEW(a, struct node);
    if (!c)
        return NULL;
    c->segment = seg;
    c->sibling = at->child;
    at->child = c;
    at->n_sorted++;
    return c;
}

static enum err_code row_add(struct method_row **list, const struct method_row *row,
                             struct arena *a, struct err *err)
{
    for (const struct method_row *m = *list; m; m = m->next)
        if (strcmp(m->method, row->method) == 0)
            return err_set(err, ERR_EXISTS, "route %s %s is there twice (also %s)", row->method,
                           row->route->path, m->route->path);
    struct method_row *m = ARENA_NEW(a, struct method_row);
    if (!m)
        return arena_err(a, err);
    *m = *row;
    m->next = *list;
    *list = m;
    return ERR_OK;
}

static enum err_code param_add(struct method_row *row, struct str seg, struct arena *a,
                               struct err *err)
{
    if (row->n_params == HTTP_PARAMS_MAX)
        return err_set(err, ERR_LIMIT, "route %s has more than %d parameters", row->route->path,
                       HTTP_PARAMS_MAX);
    row->param_names[row->n_params] = str_dup(a, seg);
    if (!row->param_names[row->n_params++])
        return arena_err(a, err);
    return ERR_OK;
}

/* One segment below *at; moves *at. *ret_is_tail: it was {name*}. */
static enum err_code segment_add(struct node **at, struct str seg, struct method_row *row,
                                 struct arena *a, bool *ret_is_tail, struct err *err)
{
    *ret_is_tail = false;
    if (seg.n < 2 || seg.p[0] != '{' || seg.p[seg.n - 1] != '}') {
        struct node *c = child_get(*at, seg, a);
        if (!c)
            return arena_err(a, err);
        *at = c;
        return ERR_OK;
    }
    struct str name = str_n(seg.p + 1, seg.n - 2);
    *ret_is_tail = str_ends(name, STR("*"));
    if (*ret_is_tail)
        name.n--;
    if (param_add(row, name, a, err) != ERR_OK)
        return err->code;
    if (*ret_is_tail)
        return ERR_OK;
    if (!(*at)->param)
        (*at)->param = ARENA_NEW(a, struct node);
    if (!(*at)->param)
        return arena_err(a, err);
    *at = (*at)->param;
    return ERR_OK;
}

static enum err_code route_add(struct route_tree *t, const struct http_route *route,
                               struct arena *a, struct err *err)
{
    struct str rest = str_c(route->path);
    CHECK(rest.n > 0 && rest.p[0] == '/' && route->fn);
    rest.p++;
    rest.n--;
    struct method_row row = {.method = route->method, .route = route};
    struct node *at = &t->root;
    bool is_tail = false;
    while (rest.p && !is_tail) {
        struct str seg = str_split(&rest, '/');
        if (segment_add(&at, seg, &row, a, &is_tail, err) != ERR_OK)
            return err->code;
    }
    if (is_tail && rest.p)
        return err_set(err, ERR_INVALID, "route %s goes on behind its tail parameter", route->path);
    return row_add(is_tail ? &at->tail : &at->methods, &row, a, err);
}

static int node_cmp(const void *a, const void *b)
{
    const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;
    return str_cmp(x->segment, y->segment);
}

static void allowed_add(struct buf *b, const struct method_row *list)
{
    for (; list; list = list->next) {
        buf_printf(b, "%s%s", b->n ? ", " : "", list->method);
        if (strcmp(list->method, "GET") == 0)
            buf_c(b, ", HEAD");
    }
}

static enum err_code node_finish(struct node *n, struct arena *a, struct err *err)
{
    struct buf b;
    buf_init(&b, 1024);
    allowed_add(&b, n->methods);
    allowed_add(&b, n->tail);
    n->allowed = str_dup(a, buf_view(&b));
    buf_fini(&b);
    n->sorted = ARENA_NEW_N(a, struct node *, n->n_sorted);
    if (!n->allowed || !n->sorted)
        return arena_err(a, err);
    size_t i = 0;
    for (struct node *c = n->child; c; c = c->sibling) {
        n->sorted[i++] = c;
        if (node_finish(c, a, err) != ERR_OK)
            return err->code;
    }
    if (n->n_sorted > 1)
        qsort(n->sorted, n->n_sorted, sizeof *n->sorted, node_cmp);
    return n->param ? node_finish(n->param, a, err) : ERR_OK;
}

enum err_code route_tree_build(const struct http_route *routes, size_t n, struct arena *a,
                               struct route_tree **ret, struct err *err)
{
    struct route_tree *t = ARENA_NEW(a, struct route_tree);
    if (!t)
        return arena_err(a, err);
    for (size_t i = 0; i < n; i++)
        if (route_add(t, &routes[i], a, err) != ERR_OK)
            return err->code;
    if (node_finish(&t->root, a, err) != ERR_OK)
        return err->code;
    *ret = t;
    return ERR_OK;
}

static const struct node *static_child(const struct node *n, struct str seg)
{
    size_t lo = 0, hi = n->n_sorted;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = str_cmp(seg, n->sorted[mid]->segment);
        if (c == 0)
            return n->sorted[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

static const struct method_row *method_find(const struct method_row *list, const char *method)
{
    const struct method_row *any = NULL, *get = NULL;
    for (; list; list = list->next) {
        if (strcmp(list->method, method) == 0)
            return list;
        if (strcmp(list->method, "*") == 0)
            any = list;
        if (strcmp(list->method, "GET") == 0)
            get = list;
    }
    return get && strcmp(method, "HEAD") == 0 ? get : any;
}

struct walk {
    const char *method;
    struct str values[HTTP_PARAMS_MAX];
    size_t n_values;
    const char *allowed;
};

static const struct method_row *end_here(const struct node *n, const struct method_row *list,
                                         struct walk *w)
{
    const struct method_row *m = method_find(list, w->method);
    if (!m && list)
        w->allowed = n->allowed;
    return m;
}

static const struct method_row *walk_tail(const struct node *n, struct str rest, struct walk *w)
{
    if (!n->tail || w->n_values == HTTP_PARAMS_MAX)
        return NULL;
    const struct method_row *m = end_here(n, n->tail, w);
    if (m)
        w->values[w->n_values++] = rest.p ? rest : STR("");
    return m;
}

/* rest.p NULL: the path is used up. */
static const struct method_row *walk(const struct node *n, struct str rest, struct walk *w,
                                     int depth)
{
    if (!rest.p)
        return end_here(n, n->methods, w);
    if (depth == SEGMENTS_MAX)
        return walk_tail(n, rest, w);
    struct str tail = rest, seg = str_split(&rest, '/');
    const struct node *c = static_child(n, seg);
    const struct method_row *m = c ? walk(c, rest, w, depth + 1) : NULL;
    if (m)
        return m;
    if (n->param && seg.n > 0 && w->n_values < HTTP_PARAMS_MAX) {
        size_t n_before = w->n_values;
        w->values[w->n_values++] = seg;
        m = walk(n->param, rest, w, depth + 1);
        if (m)
            return m;
        w->n_values = n_before;
    }
    return walk_tail(n, tail, w);
}

const struct http_route *route_tree_find(const struct route_tree *t, const char *method,
                                         struct str path, struct http_pair *params,
                                         size_t *ret_n_params, const char **ret_allowed)
{
    struct walk w = {.method = method, .allowed = ""};
    const struct method_row *m = NULL;
    if (path.n > 0 && path.p[0] == '/')
        m = walk(&t->root, str_n(path.p + 1, path.n - 1), &w, 0);
    *ret_allowed = w.allowed;
    if (!m)
        return NULL;
    for (size_t i = 0; i < m->n_params; i++)
        params[i] = (struct http_pair){str_c(m->param_names[i]), w.values[i]};
    *ret_n_params = m->n_params;
    return m->route;
}
