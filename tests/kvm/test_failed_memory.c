/*
 * Memory of the host that fails under a VM, on the real KVM. The failure is reported as Linux reports it, by SIGBUS
 * with its si_code and address, but the test sends that. With FAIL_MEMORY=1 in the environment a page does fail
 * (MADV_HWPOISON): that takes CAP_SYS_ADMIN and a host which may lose the page, such as the testbed's.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "arch/x86_64/internal.h"
#include "vm_rig.h"

enum {
	LOAD_AT = 0x7c00,
	READY_AT = 0x500,
	MC9_ADDR_AT = 0x508,
	MC9_STATUS_AT = 0x510,
	MCG_STATUS_AT = 0x518,
	FAILED_GPA = 0x9000,
};

#define STATUS_INTEL_S_AR  (UINT64_C(3) << 55)
#define STATUS_VAL_UC_EN   (UINT64_C(1) << 63 | UINT64_C(3) << 60)
#define STATUS_MISCV_ADDRV (UINT64_C(3) << 58)
#define STATUS_OVER_PCC    (UINT64_C(1) << 62 | UINT64_C(1) << 57)

/* Real mode: takes machine checks, says so at READY_AT, waits; stores what the check says, exits with 0. */
static const uint8_t taking_code[] = {
	0xfa,                               /* cli */
	0x31, 0xc0,                         /* xor ax, ax */
	0x8e, 0xd8,                         /* mov ds, ax */
	0x8e, 0xd0,                         /* mov ss, ax */
	0xbc, 0x00, 0x70,                   /* mov sp, 0x7000 */
	0xc7, 0x06, 0x48, 0x00, 0x28, 0x7c, /* mov word [18 * 4], handler */
	0xc7, 0x06, 0x4a, 0x00, 0x00, 0x00, /* mov word [18 * 4 + 2], 0 */
	0x0f, 0x20, 0xe0,                   /* mov eax, cr4 */
	0x0c, 0x40,                         /* or al, CR4.MCE */
	0x0f, 0x22, 0xe0,                   /* mov cr4, eax */
	0xc6, 0x06, 0x00, 0x05, 0x01,       /* mov byte [READY_AT], 1 */
	0xa0, 0x00, 0x90,                   /* again: mov al, [FAILED_GPA] */
	0xeb, 0xfb,                         /* jmp again */
	0x66, 0xb9, 0x26, 0x04, 0x00, 0x00, /* handler: mov ecx, IA32_MC9_ADDR */
	0x0f, 0x32,                         /* rdmsr */
	0x66, 0xa3, 0x08, 0x05,             /* mov [MC9_ADDR_AT], eax */
	0x66, 0xb9, 0x25, 0x04, 0x00, 0x00, /* mov ecx, IA32_MC9_STATUS */
	0x0f, 0x32,                         /* rdmsr */
	0x66, 0xa3, 0x10, 0x05,             /* mov [MC9_STATUS_AT], eax */
	0x66, 0x89, 0x16, 0x14, 0x05,       /* mov [MC9_STATUS_AT + 4], edx */
	0x66, 0xb9, 0x7a, 0x01, 0x00, 0x00, /* mov ecx, IA32_MCG_STATUS */
	0x0f, 0x32,                         /* rdmsr */
	0x66, 0xa3, 0x18, 0x05,             /* mov [MCG_STATUS_AT], eax */
	0xb0, 0x00,                         /* mov al, 0 */
	0xe6, 0xf4,                         /* out 0xf4, al */
	0xf4,                               /* hlt */
};

/* The same without CR4.MCE. */
static const uint8_t deaf_code[] = {
	0x31, 0xc0,                   /* xor ax, ax */
	0x8e, 0xd8,                   /* mov ds, ax */
	0xc6, 0x06, 0x00, 0x05, 0x01, /* mov byte [READY_AT], 1 */
	0xf3, 0x90,                   /* again: pause */
	0xeb, 0xfc,                   /* jmp again */
};

#define OPTS(code, nr_cpus)                                                                        \
	{                                                                                          \
		.machine = {.mem_bytes = MACHINE_MEM_MIN, .cpus = (nr_cpus)},                      \
		.boot = {.mode = BOOT_MODE_FLAT_REAL, .flat_gpa = LOAD_AT},                        \
		.kernel = {.name = "failed-memory", .data = (code), .len = sizeof(code)},          \
	}

/* The kernel's name of a thread of this process. */
static pid_t thread_named(const char *name)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *e;
	pid_t found = 0;

	while (!found && (e = readdir(dir))) {
		char path[300], comm[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "re");
		if (f && fgets(comm, sizeof(comm), f) && strncmp(comm, name, strlen(name)) == 0)
			found = (pid_t)strtol(e->d_name, NULL, 10);
		if (f)
			fclose(f);
	}
	closedir(dir);
	return found;
}

/* Linux lets a thread tell only itself that, so each does when it gets SIGTRAP. */
static struct {
	int code;
	const void *addr;
	atomic_bool told;
} message;

static void tell_oneself(int sig)
{
	siginfo_t si = {.si_signo = SIGBUS, .si_code = message.code};

	(void)sig;
	si.si_addr = (void *)(uintptr_t)message.addr;
	/* NOLINTNEXTLINE(bugprone-signal-handler,cert-sig30-c): a system call without state of libc's */
	syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGBUS, &si);
	atomic_store(&message.told, true);
}

static void tell(pid_t thread, int code, const void *addr)
{
	message.code = code;
	message.addr = addr;
	atomic_store(&message.told, false);
	syscall(SYS_tgkill, getpid(), thread, SIGTRAP);
	while (!atomic_load(&message.told))
		poll(NULL, 0, 1);
}

struct failure {
	struct vm *vm;
	bool in_a_device; /* reported to the event thread, which is in no KVM_RUN */
	bool elsewhere;   /* not in the guest's RAM */
	bool really;      /* the page fails, and the test reports nothing */
	int err;          /* why it does not */
};

/*
 * Makes the page at p fail, in a process of its own that shares it. Since Linux 6.11 MADV_HWPOISON signals the thread
 * that asks for it, by BUS_MCEERR_AR, as if that thread had used the page. A thread of the VMM would be a device. The
 * other processes that map the page get a signal when they use it. 0, or the error.
 */
static int make_page_fail(volatile uint8_t *p)
{
	pid_t child;
	int status;

	*p = 0; /* a page of its own, and not Linux's page of zeros */
	child = fork();
	if (child == 0) {
		struct rlimit none = {0};

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGBUS, SIG_DFL); /* not the VMM's */
		_exit(madvise((void *)(uintptr_t)p, 4096, MADV_HWPOISON) < 0 ? errno : 0);
	}
	if (waitpid(child, &status, 0) < 0)
		return errno;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS)
		return 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

/* Once the guest is ready: memory that nobody needs now, then memory that the vCPU needs. */
static void *fail_memory(void *arg)
{
	struct failure *failure = arg;
	const volatile uint8_t *ready = guest_mem_ptr(&failure->vm->mem, READY_AT, 1);
	const void *failed = failure->elsewhere
				     ? (const void *)failure
				     : guest_mem_ptr(&failure->vm->mem, FAILED_GPA + 8, 1);

	while (!*ready)
		poll(NULL, 0, 1);
	if (failure->really) {
		failure->err = make_page_fail(guest_mem_ptr(&failure->vm->mem, FAILED_GPA, 1));
		if (failure->err == 0)
			return NULL;
		vm_end(failure->vm, (struct vm_end){.kind = VM_END_KILLED});
		return NULL;
	}
	tell(getpid(), BUS_MCEERR_AO, failed);
	tell(failure->in_a_device ? getpid() : thread_named("vcpu0"), BUS_MCEERR_AR, failed);
	return NULL;
}

static struct vm_end run_failing(struct vm *vm, struct failure *failure)
{
	struct vm_end end = {0};
	pthread_t thread;
	struct diag diag = {0};

	failure->vm = vm;
	signal(SIGTRAP, tell_oneself);
	alarm(VM_RIG_HANG_S);
	assert_int_equal(pthread_create(&thread, NULL, fail_memory, failure), 0);
	if (vm_run(vm, &end, &diag) < 0)
		fail_msg("%s", diag.what);
	pthread_join(thread, NULL);
	alarm(0);
	return end;
}

static struct vm *make_vm(const struct vm_opts *opts)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	struct diag diag = {0};

	assert_non_null(vm);
	if (vm_init(vm, opts, &diag) < 0)
		fail_msg("%s", diag.what);
	return vm;
}

static uint64_t guest_word(const struct vm *vm, uint64_t gpa)
{
	uint64_t word = 0;

	assert_int_equal(guest_mem_read(&vm->mem, gpa, &word, sizeof(word)), 0);
	return word;
}

/* As on Intel's, of which all CPUs take the check: the second one is not started, and must not be hurt. */
static void assert_machine_check(bool is_intel)
{
	const struct vm_opts opts = OPTS(taking_code, 2);
	struct vm *vm = make_vm(&opts);
	struct failure failure = {0};
	uint64_t status;

	if (vm->cpu_model->mcg_cap == 0) {
		vm_fini(vm);
		free(vm);
		skip(); /* a KVM without KVM_CAP_MCE */
		return;
	}
	vm->cpu_model->is_intel = is_intel;
	vm_rig_assert_success(run_failing(vm, &failure));
	status = guest_word(vm, MC9_STATUS_AT);
	assert_int_equal(guest_word(vm, MC9_ADDR_AT) & UINT32_MAX, FAILED_GPA + 8);
	assert_int_equal(status & 0xffff, 0x134);
	assert_int_equal(status & STATUS_VAL_UC_EN, STATUS_VAL_UC_EN);
	assert_int_equal(status & STATUS_MISCV_ADDRV, STATUS_MISCV_ADDRV);
	assert_int_equal(status & STATUS_OVER_PCC, 0);
	assert_int_equal(status & STATUS_INTEL_S_AR, is_intel ? STATUS_INTEL_S_AR : 0);
	assert_int_equal(guest_word(vm, MCG_STATUS_AT) & 7, 6); /* MCIP, EIPV, no RIPV */
	vm_fini(vm);
	free(vm);
}

static void failed_memory_is_a_machine_check_of_the_guest(void **state)
{
	(void)state;
	assert_machine_check(false);
}

static void an_intel_guest_is_told_what_to_do(void **state)
{
	(void)state;
	assert_machine_check(true);
}

static void a_page_that_does_fail_is_a_machine_check(void **state)
{
	const struct vm_opts opts = OPTS(taking_code, 1);
	struct failure failure = {.really = true};
	struct vm *vm;
	struct vm_end end;

	(void)state;
	if (!getenv("FAIL_MEMORY"))
		skip();
	vm = make_vm(&opts);
	end = run_failing(vm, &failure);
	assert_int_equal(failure.err, 0);
	vm_rig_assert_success(end);
	assert_int_equal(guest_word(vm, MC9_ADDR_AT) & UINT32_MAX, FAILED_GPA);
	vm_fini(vm);
	free(vm);
}

static void a_guest_that_takes_no_machine_checks_ends(void **state)
{
	const struct vm_opts opts = OPTS(deaf_code, 1);
	struct vm *vm = make_vm(&opts);
	struct failure failure = {0};
	struct vm_end end = run_failing(vm, &failure);

	(void)state;
	assert_int_equal(end.kind, VM_END_KVM_ERROR);
	assert_string_equal(end.by, "memory of the host failed under the guest, which takes no "
				    "machine checks");
	vm_fini(vm);
	free(vm);
}

/* In a process of its own, which dies; what it wrote to standard error comes back. */
static void die_of(struct failure failure, char *said, size_t bytes)
{
	const struct vm_opts opts = OPTS(deaf_code, 1);
	int out[2], status;
	pid_t child;
	ssize_t n;

	assert_int_equal(pipe(out), 0);
	child = fork();
	if (child == 0) {
		struct rlimit none = {0};

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGBUS, SIG_DFL); /* not cmocka's */
		dup2(out[1], STDERR_FILENO);
		run_failing(make_vm(&opts), &failure);
		_exit(0);
	}
	close(out[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	n = read(out[0], said, bytes - 1);
	said[n > 0 ? n : 0] = '\0';
	close(out[0]);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void what_a_device_needed_is_named(void **state)
{
	char said[512];

	(void)state;
	die_of((struct failure){.in_a_device = true}, said, sizeof(said));
	assert_non_null(strstr(said, " 0x9008 "));
	assert_non_null(strstr(said, " [memory-failed-device]\n"));
}

static void failed_memory_of_the_vmm_is_told_apart(void **state)
{
	char said[512];

	(void)state;
	die_of((struct failure){.elsewhere = true}, said, sizeof(said));
	assert_non_null(strstr(said, " [memory-failed-vmm]\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failed_memory_is_a_machine_check_of_the_guest),
		cmocka_unit_test(an_intel_guest_is_told_what_to_do),
		cmocka_unit_test(a_page_that_does_fail_is_a_machine_check),
		cmocka_unit_test(a_guest_that_takes_no_machine_checks_ends),
		cmocka_unit_test(what_a_device_needed_is_named),
		cmocka_unit_test(failed_memory_of_the_vmm_is_told_apart),
	};

	if (!vm_rig_has_kvm())
		return VM_RIG_SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
