#include "cli/view_list.h"

#include "base/check.h"

const struct cli_view CLI_VIEWS[] = {
    {"project.check", cli_view_problems},
    {"card.get", cli_view_text},
};
const size_t N_CLI_VIEWS = ARRAY_LEN(CLI_VIEWS);
