/*
 * /init of the initramfs that `--run` makes: a small static program, so that a kernel needs nothing
 * else. It says on the log port how far it is, one word a line, which costs an exit each and comes
 * through with a quiet console, too: started, modules N, host-root, agent, shares N,
 * network NAME ADDRESS, command, ended STATUS.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "command.h"
#include "conf.h"
#include "network.h"
#include "ports.h"
#include "setup.h"

/* The kernel opens /dev/console for us, if there is one. */
static void open_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* A guest without it does all else. */
static void start_agent(const struct conf *conf)
{
	const int r = agent_start(conf->agent, conf->env.item);

	if (r < 0)
		say("no sockets for tollgate exec and cp: %s", strerror(-r));
	else
		log_line("agent");
}

int main(void)
{
	static struct conf conf;
	int r;

	open_stdio();
	r = conf_read(&conf);
	if (r == 0)
		r = ports_open(&conf);
	if (r < 0) {
		say("cannot start: %s", strerror(-r));
		return 1; /* the kernel panics, and that is seen */
	}
	log_line("started");
	setup_system(&conf);
	setup_modules(&conf);
	setup_busybox(&conf);
	if (conf.root)
		setup_root(&conf);
	if (conf.host_root)
		setup_host_root(&conf);
	if (conf.agent)
		start_agent(&conf);
	if (!conf.run && !conf.arg.nr)
		command_exec_init(&conf);
	setup_shares(&conf);
	network_setup();
	leave(command_run(&conf));
}
