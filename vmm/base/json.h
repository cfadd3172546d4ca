/* json.h - what json-c leaves to write out each time. */
#ifndef VMM_BASE_JSON_H
#define VMM_BASE_JSON_H

#include <json-c/json.h>
#include <stdint.h>

/* Without memory the member is null. */
static inline void json_add_u64(struct json_object *obj, const char *key, uint64_t v)
{
	json_object_object_add(obj, key, json_object_new_uint64(v));
}

#endif
