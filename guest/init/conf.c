#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int set_port(uint16_t *port, const char *value)
{
	char *end;
	const unsigned long n = strtoul(value, &end, 0);

	if (*end || n == 0 || n > UINT16_MAX)
		return -EINVAL;
	*port = (uint16_t)n;
	return 0;
}

static int set_agent(uint32_t *port, const char *value)
{
	char *end;
	const unsigned long n = strtoul(value, &end, 0);

	if (*end || n == 0 || n > UINT32_MAX)
		return -EINVAL;
	*port = (uint32_t)n;
	return 0;
}

static int add_module(struct conf *conf, const char *path, bool needed)
{
	struct conf_module *module =
		realloc(conf->module, (conf->nr_modules + 1) * sizeof(*module));

	if (!module)
		return -ENOMEM;
	module[conf->nr_modules++] = (struct conf_module){.path = path, .needed = needed};
	conf->module = module;
	return 0;
}

static int add_share(struct conf *conf, const char *tag, bool read_only)
{
	struct conf_share *share = realloc(conf->share, (conf->nr_shares + 1) * sizeof(*share));

	if (!share)
		return -ENOMEM;
	share[conf->nr_shares++] = (struct conf_share){.tag = tag, .read_only = read_only};
	conf->share = share;
	return 0;
}

static int list_add(struct conf_list *list, char *value)
{
	char **item = realloc(list->item, (list->nr + 2) * sizeof(*item));

	if (!item)
		return -ENOMEM;
	item[list->nr++] = value;
	item[list->nr] = NULL;
	list->item = item;
	return 0;
}

static int add_env(struct conf *conf, char *value)
{
	const size_t name_len = strcspn(value, "=");

	for (size_t i = 0; i < conf->env.nr; i++) {
		char **item = &conf->env.item[i];

		if (strncmp(*item, value, name_len) == 0 && (*item)[name_len] == '=') {
			*item = value;
			return 0;
		}
	}
	return list_add(&conf->env, value);
}

static int set_id(uint32_t *id, const char *value)
{
	char *end;
	const unsigned long n = strtoul(value, &end, 10);

	if (*end || end == value || n > UINT32_MAX)
		return -EINVAL;
	*id = (uint32_t)n;
	return 0;
}

static int set_input(struct conf *conf, const char *value)
{
	if (strcmp(value, "frames") == 0)
		conf->input = CONF_INPUT_FRAMES;
	else if (strcmp(value, "terminal") == 0)
		conf->input = CONF_INPUT_TERMINAL;
	else
		return -EINVAL;
	return 0;
}

/* The last share is mounted there. */
static int set_share_at(struct conf *conf, const char *path)
{
	if (conf->nr_shares == 0)
		return -EINVAL;
	conf->share[conf->nr_shares - 1].path = path;
	return 0;
}

static int set_string(struct conf *conf, const char *key, const char *value)
{
	if (strcmp(key, "hostname") == 0)
		conf->hostname = value;
	else if (strcmp(key, "busybox") == 0)
		conf->busybox = value;
	else if (strcmp(key, "missing") == 0)
		conf->missing = value;
	else if (strcmp(key, "root") == 0)
		conf->root = value;
	else if (strcmp(key, "run") == 0)
		conf->run = value;
	else if (strcmp(key, "host-root") == 0)
		conf->host_root = value;
	else if (strcmp(key, "cwd") == 0)
		conf->cwd = value;
	else if (strcmp(key, "groups") == 0)
		conf->groups = value;
	else
		return -EINVAL;
	return 0;
}

/* Records for the command of a host's root. */
static int set_command(struct conf *conf, const char *key, char *value)
{
	if (strcmp(key, "uid") == 0)
		return set_id(&conf->uid, value);
	if (strcmp(key, "gid") == 0)
		return set_id(&conf->gid, value);
	if (strcmp(key, "arg") == 0)
		return list_add(&conf->arg, value);
	if (strcmp(key, "input") == 0)
		return set_input(conf, value);
	if (strcmp(key, "share-at") == 0)
		return set_share_at(conf, value);
	if (strcmp(key, "stderr") == 0) {
		conf->stderr_is_terminal = true;
		return 0;
	}
	return set_string(conf, key, value);
}

static int set(struct conf *conf, const char *key, char *value)
{
	if (strcmp(key, "out") == 0)
		return set_port(&conf->out, value);
	if (strcmp(key, "err") == 0)
		return set_port(&conf->err, value);
	if (strcmp(key, "log") == 0)
		return set_port(&conf->log, value);
	if (strcmp(key, "exit") == 0)
		return set_port(&conf->exit, value);
	if (strcmp(key, "agent") == 0)
		return set_agent(&conf->agent, value);
	if (strcmp(key, "module") == 0 || strcmp(key, "need") == 0)
		return add_module(conf, value, *key == 'n');
	if (strcmp(key, "share") == 0 || strcmp(key, "share-ro") == 0)
		return add_share(conf, value, key[5] != '\0');
	if (strcmp(key, "env") == 0)
		return add_env(conf, value);
	return set_command(conf, key, value);
}

/* The whole file and a NUL after it. */
static char *read_file(const char *path, size_t *ret_len)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *buf = NULL;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0)
		buf = malloc((size_t)st.st_size + 1);
	if (buf && read(fd, buf, (size_t)st.st_size) != st.st_size) {
		free(buf);
		buf = NULL;
		errno = EIO;
	}
	close(fd);
	if (buf) {
		buf[st.st_size] = '\0';
		*ret_len = (size_t)st.st_size;
	}
	return buf;
}

int conf_read(struct conf *conf)
{
	size_t len = 0;
	char *at = read_file(CONF_PATH, &len);
	const char *end;

	if (!at)
		return -errno;
	memset(conf, 0, sizeof(*conf));
	for (end = at + len; at < end;) {
		char *value = strchr(at, '=');
		int r;

		if (!value)
			return -EINVAL;
		*value++ = '\0';
		r = set(conf, at, value);
		if (r < 0)
			return r;
		at = value + strlen(value) + 1;
	}
	return conf->exit ? 0 : -EINVAL;
}
