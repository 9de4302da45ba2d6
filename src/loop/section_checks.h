/* The sections of pawl.yaml that monitor/, release/ and loop/ decode, for `pawl check` (pipeline/check.h). */
#ifndef PAWL_LOOP_SECTION_CHECKS_H
#define PAWL_LOOP_SECTION_CHECKS_H

#include "pipeline/check.h"

/* gates, approvals, endpoint · monitor, slo · triggers. app/ hands each to pipeline_check_add. */
extern const struct pipeline_section_check LOOP_SECTION_CHECKS[];
extern const size_t N_LOOP_SECTION_CHECKS;

#endif
