/* Answers that are one text: a report, a card, a configuration. The text is what a person wants to see. */
#include "cli/view_list.h"

void cli_view_text(const struct cli_page *p, const struct json *doc)
{
    struct str text = json_get_str(doc, "text");
    if (!text.p) {
        cli_view_generic(p, doc, NULL);
        return;
    }
    buf_str(p->out, text);
    if (!str_ends(text, STR("\n")))
        buf_ch(p->out, '\n');
}
