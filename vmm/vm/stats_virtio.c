#include "vm/stats_virtio.h"

#include <inttypes.h>

#include "base/json.h"
#include "virtio/transport.h"

/* One queue, as its I/O thread counts it. */
struct queue_view {
	uint64_t doorbells, kicks, chains, interrupts, suppressed;
};

static uint64_t counter(const uint64_t *c)
{
	return __atomic_load_n(c, __ATOMIC_RELAXED);
}

static struct queue_view view_queue(const struct vm_virtio *virtio, const struct virtio_device *vd,
				    unsigned queue)
{
	const struct virtq *vq = &vd->queue[queue];

	return (struct queue_view){
		.doorbells = counter(&virtio->io.queue[queue].rings),
		.kicks = counter(&vd->kicks[queue]),
		.chains = counter(&vq->chains),
		.interrupts = counter(&vq->signals),
		.suppressed = counter(&vq->suppressed),
	};
}

/* The virtio device of machine.device[i], or NULL. */
static const struct virtio_device *device_at(const struct vm *vm, unsigned i)
{
	return vm->virtio[i] && vm->device[i] ? virtio_device_of(vm->device[i]) : NULL;
}

static void print_device(FILE *out, const char *name, const struct vm_virtio *virtio,
			 const struct virtio_device *vd)
{
	const char *why = __atomic_load_n(&vd->reset_why, __ATOMIC_RELAXED);

	for (unsigned q = 0; q < vd->nr_queues; q++) {
		const struct queue_view v = view_queue(virtio, vd, q);

		if (v.doorbells + v.kicks + v.chains)
			fprintf(out,
				"       %-12s %5u %12" PRIu64 " %12" PRIu64 " %12" PRIu64
				" %12" PRIu64 "\n",
				name, q, v.doorbells, v.chains, v.interrupts, v.suppressed);
	}
	for (unsigned c = 0; vd->cls->counter_names && vd->cls->counter_names[c]; c++)
		if (counter(&vd->counter[c]))
			fprintf(out, "       %-12s %s %" PRIu64 "\n", name,
				vd->cls->counter_names[c], counter(&vd->counter[c]));
	if (why)
		fprintf(out, "       %-12s needed a reset %" PRIu64 " times, the last for: %s\n",
			name, counter(&vd->resets_needed), why);
}

void stats_virtio_print(FILE *out, const struct vm *vm)
{
	bool any = false;

	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		const struct virtio_device *vd = device_at(vm, i);

		if (!vd)
			continue;
		if (!any)
			fprintf(out, "%-6s %-12s %5s %12s %12s %12s %12s\n", "virtio", "device",
				"queue", "doorbells", "chains", "interrupts", "suppressed");
		any = true;
		print_device(out, vm->machine.device[i].name, vm->virtio[i], vd);
	}
}

static struct json_object *json_queue(const struct queue_view *v)
{
	struct json_object *obj = json_object_new_object();

	json_add_u64(obj, "doorbells", v->doorbells);
	json_add_u64(obj, "kicks", v->kicks);
	json_add_u64(obj, "chains", v->chains);
	json_add_u64(obj, "interrupts", v->interrupts);
	json_add_u64(obj, "suppressed", v->suppressed);
	return obj;
}

static struct json_object *json_device(const char *name, const struct vm_virtio *virtio,
				       const struct virtio_device *vd)
{
	struct json_object *obj = json_object_new_object(), *queues = json_object_new_array();
	const char *why = __atomic_load_n(&vd->reset_why, __ATOMIC_RELAXED);

	json_object_object_add(obj, "device", json_object_new_string(name));
	json_object_object_add(obj, "type", json_object_new_string(vd->cls->name));
	json_object_object_add(obj, "register_page",
			       json_object_new_boolean(virtio->register_page != NULL));
	json_object_object_add(obj, "stuck", json_object_new_boolean(virtio->stuck));
	json_add_u64(obj, "resets_needed", counter(&vd->resets_needed));
	json_object_object_add(obj, "reset_why", why ? json_object_new_string(why) : NULL);
	for (unsigned c = 0; vd->cls->counter_names && vd->cls->counter_names[c]; c++)
		json_add_u64(obj, vd->cls->counter_names[c], counter(&vd->counter[c]));
	for (unsigned q = 0; q < vd->nr_queues; q++) {
		const struct queue_view v = view_queue(virtio, vd, q);

		json_object_array_add(queues, json_queue(&v));
	}
	json_object_object_add(obj, "queues", queues);
	return obj;
}

struct json_object *stats_virtio_json(const struct vm *vm)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		const struct virtio_device *vd = device_at(vm, i);

		if (vd)
			json_object_array_add(
				array, json_device(vm->machine.device[i].name, vm->virtio[i], vd));
	}
	return array;
}
