/* `pawl status`: the loop from top to bottom, one line per box, the arrow that leaves it below; what is not in order
 * says whose it is and what to do next. */
#include "cli/view_list.h"

#include "base/check.h"
#include "base/clock.h"

#define BOX_WIDTH   10
#define STATE_WIDTH 8

static const char *text_of(const struct json *o, const char *key)
{
    const char *text = json_get_c(o, key);
    return text ? text : "";
}

static bool is_calm(const char *state)
{
    return strcmp(state, "ok") == 0 || strcmp(state, "idle") == 0 || strcmp(state, "waiting") == 0;
}

/* "2001-03-01 08:15:00", or nothing. */
static void put_time(const struct cli_page *p, const char *before, const struct json *o,
                     const char *key)
{
    struct arena a;
    struct str cell;
    if (!json_get_c(o, key))
        return;
    arena_init(&a, 1 << 16);
    cli_cell(&a, key, json_get(o, key), &cell);
    buf_printf(p->out, "%s%.*s", before, STR_ARG(cell));
    arena_fini(&a);
}

static void put_head(const struct cli_page *p, const struct json *doc)
{
    const char *endpoint = text_of(doc, "endpoint"), *state = text_of(doc, "state");
    const char *project = text_of(doc, "project");
    buf_c(p->out, project[0] ? project : "this home");
    if (endpoint[0])
        buf_printf(p->out, ", endpoint %s", endpoint);
    buf_printf(p->out, ": %s", state[0] ? state : "unknown");
    put_time(p, ", event clock ", doc, "clock");
    buf_c(p->out, "\n\n");
}

static void put_advice(const struct cli_page *p, const struct json *box)
{
    static const struct {
        const char *key, *label;
    } PARTS[] = {{"owner", "owner "}, {"runbook", "runbook "}, {"next", "next: "}};
    int n = 0;
    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
        const char *text = text_of(box, PARTS[i].key);
        if (!text[0])
            continue;
        buf_printf(p->out, "%s%s%s", n == 0 ? "                        " : "  ", PARTS[i].label,
                   text);
        n++;
    }
    if (n > 0)
        buf_ch(p->out, '\n');
}

static void put_box(const struct cli_page *p, const struct json *box)
{
    const char *state = text_of(box, "state");
    buf_printf(p->out, "%s %-*s  %-*s  %s", is_calm(state) ? " " : "!", BOX_WIDTH,
               text_of(box, "box"), STATE_WIDTH, state, text_of(box, "text"));
    put_time(p, ", since ", box, "since");
    buf_ch(p->out, '\n');
    if (!is_calm(state))
        put_advice(p, box);
}

static void put_arrow(const struct cli_page *p, const struct json *arrow)
{
    const char *state = text_of(arrow, "state");
    buf_printf(p->out, "%s     |      %-*s  %s", is_calm(state) ? " " : "!", STATE_WIDTH, state,
               text_of(arrow, "carries"));
    put_time(p, ", last ", arrow, "last");
    buf_ch(p->out, '\n');
}

void cli_view_status(const struct cli_page *p, const struct json *doc)
{
    static const char *const ALERTS[] = {"severity", "rule",    "object", "starts",
                                         "owner",    "summary", NULL};
    const struct json *boxes = json_get(doc, "boxes"), *arrows = json_get(doc, "arrows");
    const struct json *alerts = json_get(doc, "alerts");
    if (!boxes) {
        cli_view_generic(p, doc, NULL);
        return;
    }
    put_head(p, doc);
    for (size_t i = 0; i < json_len(boxes); i++) {
        put_box(p, json_at(boxes, i));
        if (json_at(arrows, i))
            put_arrow(p, json_at(arrows, i));
    }
    if (json_len(alerts) > 0) {
        buf_c(p->out, "\nalerts\n");
        cli_table(p, alerts, ALERTS);
    }
}
