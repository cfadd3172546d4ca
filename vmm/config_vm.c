#include "config_vm.h"

#include "base/file.h"
#include "builtin.h"

/* The files a VM is made from; they are gone from our memory before the guest runs. */
struct vm_files {
	struct file_map kernel;
	struct file_map initrd[CONFIG_INITRDS_MAX];
};

static void files_close(struct vm_files *files)
{
	file_map_close(&files->kernel);
	for (unsigned i = 0; i < CONFIG_INITRDS_MAX; i++)
		file_map_close(&files->initrd[i]);
}

static int open_initrds(struct vm_files *files, const struct config *config, struct vm_opts *opts,
			struct diag *diag)
{
	for (unsigned i = 0; i < config->nr_initrds; i++) {
		int r = file_map_open(&files->initrd[i], "initrd", config->initrd[i], diag);

		if (r < 0)
			return r;
		opts->initrd[i] = (struct vm_blob){
			.name = config->initrd[i],
			.data = files->initrd[i].data,
			.len = files->initrd[i].len,
		};
	}
	opts->nr_initrds = config->nr_initrds;
	return 0;
}

static int open_files(struct vm_files *files, const struct config *config, struct vm_opts *opts,
		      struct diag *diag)
{
	int r;

	if (!config->kernel) {
		opts->kernel = builtin_selftest();
		return 0;
	}
	r = file_map_open(&files->kernel, "kernel", config->kernel, diag);
	if (r < 0)
		return r;
	opts->kernel = (struct vm_blob){
		.name = config->kernel,
		.data = files->kernel.data,
		.len = files->kernel.len,
	};
	return open_initrds(files, config, opts, diag);
}

int config_make_vm(const struct config *config, struct vm *vm, struct diag *diag)
{
	struct vm_files files = {0};
	struct vm_opts opts = {
		.machine = config->machine,
		.mem = config->mem,
		.boot = config->boot,
		.cpu = config->cpu,
		.input = true,
		.to_stdout = true,
		.time_exits = config->time_exits,
		.no_coalesce = config->no_coalesce,
		.virtio = {.no_ioeventfd = config->no_ioeventfd,
			   .no_irqfd = config->no_irqfd,
			   .no_shown = !config->machine.windows},
		.timeout_ns = config->timeout_ns,
	};
	int r = open_files(&files, config, &opts, diag);

	if (r == 0)
		r = vm_init(vm, &opts, diag);
	files_close(&files);
	return r;
}
