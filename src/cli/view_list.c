#include "cli/view_list.h"

#include "base/check.h"

const struct cli_view CLI_VIEWS[] = {
    {"check", cli_view_problems},          {"card", cli_view_text},
    {"status", cli_view_status},           {"run", cli_view_run},
    {"releases show", cli_view_release},   {"releases gate", cli_view_release},
    {"releases create", cli_view_release}, {"deploy", cli_view_release},
};
const size_t N_CLI_VIEWS = ARRAY_LEN(CLI_VIEWS);
