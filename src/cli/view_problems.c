/* `pawl check`: the problems as compilers write them, FILE:LINE:COLUMN, so that editors find the place. */
#include "cli/view_list.h"

void cli_view_problems(const struct cli_page *p, const struct json *doc)
{
    const struct json *problems = json_get(doc, "problems");
    int64_t n_errors = 0;
    for (size_t i = 0; i < json_len(problems); i++) {
        const struct json *one = json_at(problems, i);
        const char *file = json_get_c(one, "file"), *severity = json_get_c(one, "severity");
        const char *message = json_get_c(one, "message");
        bool is_error = severity && strcmp(severity, "error") == 0;
        n_errors += is_error;
        if (file)
            buf_printf(p->out, "%s:%lld:%lld: ", file, (long long)json_get_int(one, "line", 1),
                       (long long)json_get_int(one, "column", 1));
        buf_printf(p->out, "%s: %s\n", severity ? severity : "error", message ? message : "");
    }
    if (json_len(problems) == 0)
        buf_c(p->out, "everything is in order\n");
    else
        buf_printf(p->out, "%lld error%s, %lld warning%s\n", (long long)n_errors,
                   n_errors == 1 ? "" : "s", (long long)json_len(problems) - (long long)n_errors,
                   (long long)json_len(problems) - (long long)n_errors == 1 ? "" : "s");
}
