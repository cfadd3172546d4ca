/* top_latency.h - for `tollgate top`: how long Tollgate took for the exits between two samples. */
#ifndef VMM_CMD_TOP_LATENCY_H
#define VMM_CMD_TOP_LATENCY_H

#include <json-c/json.h>

/*
 * Prints percentiles for each kind of exit that came between both. They are `latency` of the statistics, as
 * docs/reference/stats.md describes it. Nothing where now is NULL, of a VM without --exits latency. was NULL: all count.
 */
void top_latency_print(struct json_object *was, struct json_object *now);

#endif
