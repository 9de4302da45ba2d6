#include "base/check.h"
#include "expr/expr_int.h"

#include <string.h>

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char at(const struct lexer *l, size_t i)
{
    return i < l->src.n ? l->src.p[i] : '\0';
}

/* Text in quotes, where a doubled quote stands for one. l->at is at the opening quote. */
static enum err_code lex_quoted(struct lexer *l, enum token_kind kind, struct err *err)
{
    char quote = l->src.p[l->at];
    char *out = arena_alloc(l->arena, l->src.n - l->at);
    if (!out)
        return arena_err(l->arena, err);
    size_t n = 0, i = l->at + 1;
    for (;; i++) {
        if (i >= l->src.n)
            return err_set(err, ERR_PARSE, "column %zu: the quote is not closed", l->tok.column);
        if (l->src.p[i] == quote && at(l, i + 1) != quote)
            break;
        i += l->src.p[i] == quote;
        out[n++] = l->src.p[i];
    }
    l->at = i + 1;
    l->tok.kind = kind;
    l->tok.text = str_n(out, n);
    return ERR_OK;
}

static enum err_code lex_number(struct lexer *l, struct err *err)
{
    size_t start = l->at, i = start;
    bool is_float = false;
    while (is_digit(at(l, i)))
        i++;
    if (at(l, i) == '.') {
        is_float = true;
        i++;
        while (is_digit(at(l, i)))
            i++;
    }
    if (at(l, i) == 'e' || at(l, i) == 'E') {
        size_t k = i + 1 + (at(l, i + 1) == '+' || at(l, i + 1) == '-');
        if (is_digit(at(l, k))) {
            is_float = true;
            while (is_digit(at(l, k)))
                k++;
            i = k;
        }
    }
    l->tok.text = str_n(l->src.p + start, i - start);
    l->at = i;
    if (is_name_start(at(l, i)))
        return err_set(err, ERR_PARSE, "column %zu: '%.*s' is followed by a letter", l->tok.column,
                       STR_ARG(l->tok.text));
    l->tok.kind = is_float ? TOK_FLOAT : TOK_INT;
    enum err_code rc =
        is_float ? parse_f64(l->tok.text, &l->tok.f, err) : parse_i64(l->tok.text, &l->tok.i, err);
    return rc == ERR_OK ? rc : err_wrap(err, "column %zu", l->tok.column);
}

/* A name may have dots between its parts: view.column. */
static void lex_name(struct lexer *l)
{
    size_t start = l->at, i = start;
    while (is_name_start(at(l, i)) || is_digit(at(l, i)) ||
           (at(l, i) == '.' && is_name_start(at(l, i + 1))))
        i++;
    l->tok.kind = TOK_NAME;
    l->tok.text = str_n(l->src.p + start, i - start);
    l->at = i;
}

static enum err_code lex_op(struct lexer *l, struct err *err)
{
    static const char *const OPS[] = {"<=", ">=", "<>", "!=", "==", "//", "||", "**",
                                      "::", "<",  ">",  "=",  "+",  "-",  "*",  "/",
                                      "%",  "^",  "(",  ")",  ",",  "."};
    struct str rest = str_n(l->src.p + l->at, l->src.n - l->at);
    for (size_t i = 0; i < ARRAY_LEN(OPS); i++) {
        if (str_starts(rest, str_c(OPS[i]))) {
            l->tok.kind = TOK_OP;
            l->tok.text = str_c(OPS[i]);
            l->at += strlen(OPS[i]);
            return ERR_OK;
        }
    }
    return err_set(err, ERR_PARSE, "column %zu: '%c' has no meaning here", l->tok.column,
                   rest.p[0]);
}

enum err_code lex_next(struct lexer *l, struct err *err)
{
    while (at(l, l->at) == ' ' || at(l, l->at) == '\t' || at(l, l->at) == '\n' ||
           at(l, l->at) == '\r')
        l->at++;
    l->tok = (struct token){.column = l->at + 1};
    char c = at(l, l->at);
    if (l->at >= l->src.n) {
        l->tok.kind = TOK_END;
        l->tok.text = STR("the end");
        return ERR_OK;
    }
    if (c == '\'')
        return lex_quoted(l, TOK_STR, err);
    if (c == '"')
        return lex_quoted(l, TOK_QUOTED, err);
    if (is_digit(c) || (c == '.' && is_digit(at(l, l->at + 1))))
        return lex_number(l, err);
    if (is_name_start(c)) {
        lex_name(l);
        return ERR_OK;
    }
    return lex_op(l, err);
}

enum err_code lex_start(struct lexer *l, struct str src, struct arena *a, struct err *err)
{
    *l = (struct lexer){.src = src, .arena = a};
    if (src.n > EXPR_TEXT_MAX)
        return err_set(err, ERR_LIMIT, "an expression of %zu bytes; %d are possible", src.n,
                       EXPR_TEXT_MAX);
    if (!str_utf8_valid(src))
        return err_set(err, ERR_PARSE, "the expression is not valid UTF-8");
    return lex_next(l, err);
}

bool tok_is_op(const struct token *t, const char *op)
{
    return t->kind == TOK_OP && str_is(t->text, op);
}

bool tok_is_word(const struct token *t, const char *word)
{
    if (t->kind != TOK_NAME || t->text.n != strlen(word))
        return false;
    for (size_t i = 0; i < t->text.n; i++) {
        if ((t->text.p[i] | 0x20) != word[i])
            return false;
    }
    return true;
}
