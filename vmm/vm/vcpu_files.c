#include "vm/vcpu_files.h"

#include <stdlib.h>
#include <unistd.h>

#include "vm.h"

struct files {
	int *fd; /* NULL: only counted */
	size_t n;
};

static void files_add(struct files *files, int fd)
{
	if (files->fd)
		files->fd[files->n] = fd;
	files->n++;
}

/* One that a device may be without. */
static void files_add_any(struct files *files, int fd)
{
	if (fd > 0)
		files_add(files, fd);
}

/* The doorbells that an op rings where KVM does not, and the interrupts that it raises. */
static void files_add_virtio(struct files *files, const struct vm_virtio *virtio)
{
	files_add(files, virtio->io.loop.wake.fd);
	files_add(files, virtio->timer.timer.src.fd);
	files_add_any(files, virtio->irq.fd);
	for (unsigned i = 0; i < virtio->io.nr_queues; i++)
		files_add(files, virtio->io.queue[i].io.fd);
}

static void files_add_all(struct files *files, const struct vm *vm)
{
	files->n = 0;
	files_add(files, STDIN_FILENO);  /* the terminal, whose mode a crash restores */
	files_add(files, STDERR_FILENO); /* memory that fails, an assertion, a sanitizer */
	files_add(files, vm->kvm.vm_fd); /* interrupts, memory slots */
	files_add(files, vm->loop.wake.fd);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		files_add(files, vm->vcpu[i].fd);
	for (unsigned i = 0; i < vm->nr_loop_files; i++)
		files_add(files, vm->loop_files[i]);
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		files_add_any(files, vm->timer[i].timer.src.fd);
		if (vm->virtio[i])
			files_add_virtio(files, vm->virtio[i]);
	}
}

static int compare_files(const void *a, const void *b)
{
	const int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

void vm_vcpu_files_set(struct vm *vm)
{
	struct files files = {0};

	files_add_all(&files, vm);
	files.fd = calloc(files.n, sizeof(files.fd[0]));
	if (!files.fd)
		return;
	files_add_all(&files, vm);
	qsort(files.fd, files.n, sizeof(files.fd[0]), compare_files);
	vm->vcpu_files = files.fd;
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		vm->vcpu[i].files = files.fd;
		vm->vcpu[i].nr_files = files.n;
	}
}

void vm_vcpu_files_free(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vm->vcpu[i].files = NULL;
	free(vm->vcpu_files);
	vm->vcpu_files = NULL;
}

int *vm_vcpu_fds(const struct vm *vm)
{
	int *fd = calloc(vm->nr_vcpus, sizeof(*fd));

	for (unsigned i = 0; fd && i < vm->nr_vcpus; i++)
		fd[i] = vm->vcpu[i].fd;
	return fd;
}
