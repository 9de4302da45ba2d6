/* "entity.key OP value AND …" into clauses. A hand-written scanner: the grammar has no recursion.
 * */
#include <strings.h>

#include "base/check.h"
#include "base/vec.h"
#include "track/filter.h"

#define FILTER_BYTES_MAX   65536
#define FILTER_CLAUSES_MAX 100
#define FILTER_LIST_MAX    200

struct scan {
    const char *text;
    size_t at, n;
    struct arena *arena;
    struct err *err;
};

static const struct {
    const char *name;
    enum filter_entity entity;
} ENTITIES[] = {
    {"metric", FILTER_METRIC},
    {"metrics", FILTER_METRIC},
    {"param", FILTER_PARAM},
    {"params", FILTER_PARAM},
    {"parameter", FILTER_PARAM},
    {"parameters", FILTER_PARAM},
    {"tag", FILTER_TAG},
    {"tags", FILTER_TAG},
    {"dataset", FILTER_DATASET},
    {"datasets", FILTER_DATASET},
    {"attribute", FILTER_ATTRIBUTE},
    {"attributes", FILTER_ATTRIBUTE},
    {"attr", FILTER_ATTRIBUTE},
    {"run", FILTER_ATTRIBUTE},
};

/* Two-character operators first. */
static const struct {
    const char *text;
    enum filter_op op;
} OPERATORS[] = {{"!=", FILTER_NE}, {"<>", FILTER_NE}, {"<=", FILTER_LE}, {">=", FILTER_GE},
                 {"=", FILTER_EQ},  {"<", FILTER_LT},  {">", FILTER_GT}};

static enum err_code expected(struct scan *s, const char *what)
{
    size_t left = s->n - s->at;
    return err_set(s->err, ERR_PARSE, "filter \"%s\": expected %s at character %zu%s%.*s%s",
                   s->text, what, s->at + 1, left ? ", found \"" : ", where it ends",
                   left > 20 ? 20 : (int)left, s->text + s->at, left ? "\"" : "");
}

static void blanks_skip(struct scan *s)
{
    while (s->at < s->n && strchr(" \t\r\n", s->text[s->at]))
        s->at++;
}

static bool is_word_char(char c)
{
    return c && !strchr(" \t\r\n=!<>(),'\"`", c);
}

static struct str word_scan(struct scan *s)
{
    size_t from = s->at;
    while (s->at < s->n && is_word_char(s->text[s->at]))
        s->at++;
    return str_n(s->text + from, s->at - from);
}

/* The keyword, case-insensitive, as a whole word. */
static bool keyword_take(struct scan *s, const char *word)
{
    size_t n = strlen(word);
    blanks_skip(s);
    if (s->n - s->at < n || strncasecmp(s->text + s->at, word, n) != 0 ||
        (s->at + n < s->n && is_word_char(s->text[s->at + n])))
        return false;
    s->at += n;
    return true;
}

/* Text between quotes of the kind that stands here. */
static enum err_code quoted_scan(struct scan *s, struct str *ret)
{
    char quote = s->text[s->at];
    size_t from = ++s->at;
    while (s->at < s->n && s->text[s->at] != quote)
        s->at++;
    if (s->at >= s->n)
        return expected(s, "the closing quote");
    *ret = str_n(s->text + from, s->at - from);
    s->at++;
    return ERR_OK;
}

/* entity.key, entity.`key`, `key` or a bare attribute. */
static enum err_code subject_scan(struct scan *s, struct filter_clause *c)
{
    struct str key = STR_NONE, word;
    blanks_skip(s);
    if (s->at < s->n && strchr("`\"", s->text[s->at])) {
        enum err_code code = quoted_scan(s, &key);
        if (code != ERR_OK)
            return code;
    } else {
        word = word_scan(s);
        if (word.n == 0)
            return expected(s, "metrics.KEY, params.KEY, tags.KEY or an attribute");
        struct str rest = word, entity = str_split(&rest, '.');
        key = word;
        for (size_t i = 0; rest.p && i < ARRAY_LEN(ENTITIES); i++)
            if (entity.n == strlen(ENTITIES[i].name) &&
                strncasecmp(entity.p, ENTITIES[i].name, entity.n) == 0) {
                c->entity = ENTITIES[i].entity;
                key = rest;
            }
        if (rest.p && rest.n == 0 && s->at < s->n && strchr("`\"", s->text[s->at])) {
            enum err_code code = quoted_scan(s, &key);
            if (code != ERR_OK)
                return code;
        }
        if (rest.p && key.p == word.p)
            return err_set(s->err, ERR_PARSE,
                           "filter \"%s\": \"%.*s\" is not metrics, params, tags, attributes or "
                           "datasets",
                           s->text, STR_ARG(entity));
    }
    c->key = str_dup(s->arena, key);
    if (!c->key)
        return arena_err(s->arena, s->err);
    return key.n ? ERR_OK : expected(s, "a key");
}

static enum err_code operator_scan(struct scan *s, enum filter_op *ret)
{
    blanks_skip(s);
    for (size_t i = 0; i < ARRAY_LEN(OPERATORS); i++) {
        size_t n = strlen(OPERATORS[i].text);
        if (s->n - s->at >= n && memcmp(s->text + s->at, OPERATORS[i].text, n) == 0) {
            s->at += n;
            *ret = OPERATORS[i].op;
            return ERR_OK;
        }
    }
    if (keyword_take(s, "LIKE"))
        *ret = FILTER_LIKE;
    else if (keyword_take(s, "ILIKE"))
        *ret = FILTER_ILIKE;
    else if (keyword_take(s, "IN"))
        *ret = FILTER_IN;
    else if (keyword_take(s, "NOT")) {
        *ret = FILTER_NOT_IN;
        return keyword_take(s, "IN") ? ERR_OK : expected(s, "IN behind NOT");
    } else if (keyword_take(s, "IS")) {
        *ret = keyword_take(s, "NOT") ? FILTER_IS_NOT_NULL : FILTER_IS_NULL;
        return keyword_take(s, "NULL") ? ERR_OK : expected(s, "NULL");
    } else
        return expected(s, "an operator (= != < <= > >= LIKE ILIKE IN IS)");
    return ERR_OK;
}

static enum err_code text_add(struct scan *s, struct filter_clause *c, struct str text)
{
    char *copy = str_dup(s->arena, text);
    struct str *grown = arena_grow(s->arena, c->texts, c->n_texts * sizeof(*grown),
                                   (c->n_texts + 1) * sizeof(*grown));
    if (!copy || !grown)
        return arena_err(s->arena, s->err);
    c->texts = grown;
    c->texts[c->n_texts++] = str_n(copy, text.n);
    return ERR_OK;
}

static enum err_code list_scan(struct scan *s, struct filter_clause *c)
{
    blanks_skip(s);
    if (s->at >= s->n || s->text[s->at] != '(')
        return expected(s, "( and a list of quoted values");
    do {
        struct str text;
        s->at++;
        blanks_skip(s);
        if (s->at >= s->n || !strchr("'\"", s->text[s->at]) || c->n_texts >= FILTER_LIST_MAX)
            return expected(s, "a quoted value");
        enum err_code code = quoted_scan(s, &text);
        if (code == ERR_OK)
            code = text_add(s, c, text);
        if (code != ERR_OK)
            return code;
        blanks_skip(s);
    } while (s->at < s->n && s->text[s->at] == ',');
    if (s->at >= s->n || s->text[s->at] != ')')
        return expected(s, ", or )");
    s->at++;
    return ERR_OK;
}

static enum err_code value_scan(struct scan *s, struct filter_clause *c)
{
    struct str text;
    if (c->op == FILTER_IS_NULL || c->op == FILTER_IS_NOT_NULL)
        return ERR_OK;
    if (c->op == FILTER_IN || c->op == FILTER_NOT_IN)
        return list_scan(s, c);
    blanks_skip(s);
    if (s->at < s->n && strchr("'\"", s->text[s->at])) {
        enum err_code code = quoted_scan(s, &text);
        return code == ERR_OK ? text_add(s, c, text) : code;
    }
    size_t from = s->at;
    text = word_scan(s);
    c->is_number = parse_f64(text, &c->number, NULL) == ERR_OK;
    if (c->is_number)
        return ERR_OK;
    s->at = from;
    return expected(s, "a number or a quoted text");
}

enum err_code filter_parse(const char *text, struct arena *a, struct filter_clause **ret,
                           size_t *ret_n, struct err *err)
{
    struct scan s = {.text = text, .n = strlen(text), .arena = a, .err = err};
    VEC(struct filter_clause) list = {0};
    if (s.n > FILTER_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "a filter has at most %d bytes", FILTER_BYTES_MAX);
    blanks_skip(&s);
    while (s.at < s.n) {
        struct filter_clause *c = VEC_ADD(a, &list);
        if (!c)
            return arena_err(a, err);
        if (list.n > FILTER_CLAUSES_MAX)
            return err_set(err, ERR_LIMIT, "a filter has at most %d clauses", FILTER_CLAUSES_MAX);
        enum err_code code = subject_scan(&s, c);
        if (code == ERR_OK)
            code = operator_scan(&s, &c->op);
        if (code == ERR_OK)
            code = value_scan(&s, c);
        if (code != ERR_OK)
            return code;
        blanks_skip(&s);
        if (s.at >= s.n)
            break;
        if (!keyword_take(&s, "AND"))
            return expected(&s, "AND");
        blanks_skip(&s);
        if (s.at >= s.n)
            return expected(&s, "a clause behind AND");
    }
    *ret = list.p;
    *ret_n = list.n;
    return ERR_OK;
}
