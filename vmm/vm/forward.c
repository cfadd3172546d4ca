#include "vm/forward.h"

#include <errno.h>
#include <string.h>

#include "virtio/classes.h"
#include "virtio/transport.h"
#include "vm.h"

/* device[i], when it is a network; else NULL. */
static struct virtio_device *network_at(const struct vm *vm, unsigned i)
{
	struct virtio_device *vd = vm->virtio[i] ? virtio_device_of(vm->device[i]) : NULL;

	return vd && vd->cls == &virtio_net_class ? vd : NULL;
}

/* The forwards of device[i] into ret: how many; -ENOTSUP: it is not a user network; -ETIMEDOUT with diag. */
static int forwards_of(struct vm *vm, unsigned i,
		       struct net_slirp_forward ret[NET_SLIRP_FORWARDS_MAX], struct diag *diag)
{
	int r;

	if (!network_at(vm, i))
		return -ENOTSUP;
	r = vm_virtio_hold(vm, i, diag);
	if (r < 0)
		return r;
	r = virtio_net_forwards(network_at(vm, i), ret);
	vm_virtio_let_go(vm, i);
	return r;
}

static int refuse_network(const char *network, struct diag *diag)
{
	if (network)
		diag_set(diag, -EINVAL, "forward-network",
			 "this VM has no user network '%s' to forward ports", network);
	else
		diag_set(diag, -EINVAL, "forward-no-network",
			 "this VM has no user network to forward ports");
	diag_remedy(diag, "start it with --net user; `status` has the names");
	return -EINVAL;
}

static int find_network(struct vm *vm, const char *network, unsigned *ret, struct diag *diag)
{
	struct net_slirp_forward forward[NET_SLIRP_FORWARDS_MAX];

	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		int r;

		if (network && strcmp(vm->machine.device[i].name, network) != 0)
			continue;
		r = forwards_of(vm, i, forward, diag);
		if (r == -ENOTSUP)
			continue;
		*ret = i;
		return r < 0 ? r : 0;
	}
	return refuse_network(network, diag);
}

int vm_forward_change(struct vm *vm, const char *network, bool add, const char *forward,
		      struct diag *diag)
{
	struct net_slirp_forward fwd;
	unsigned i = 0;
	int r;

	if (!net_forward_parse(forward, !add, &fwd)) {
		diag_set(diag, -EINVAL, "forward-form", "'%s' is not a forward", forward);
		diag_remedy(diag, "tcp or udp:[HOSTADDR]:PORT-[GUESTADDR]:PORT, as in "
				  "tcp::8080-:80");
		return -EINVAL;
	}
	r = find_network(vm, network, &i, diag);
	if (r == 0)
		r = vm_virtio_hold(vm, i, diag);
	if (r < 0)
		return r;
	r = virtio_net_forward(network_at(vm, i), add, &fwd, diag);
	vm_virtio_let_go(vm, i);
	return r;
}

int vm_forward_list(struct vm *vm, FILE *out, struct diag *diag)
{
	struct net_slirp_forward forward[NET_SLIRP_FORWARDS_MAX];
	char text[NET_FORWARD_TEXT_BYTES];

	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		const int nr = forwards_of(vm, i, forward, diag);

		if (nr < 0 && nr != -ENOTSUP)
			return nr;
		for (int k = 0; k < nr; k++)
			fprintf(out, "%s %s\n", vm->machine.device[i].name,
				net_forward_format(&forward[k], text));
	}
	return 0;
}
