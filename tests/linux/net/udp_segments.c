/*
 * udp_segments - messages of many datagrams that the sender's kernel gets in one piece (UDP_SEGMENT), which
 * leave as one frame where the network device cuts them up (USO).
 *
 *   udp_segments send ADDR PORT MESSAGES   each is acknowledged before the next
 *   udp_segments receive PORT MESSAGES     holds every datagram's bytes to what they must be
 *   udp_segments enable IFNAME             has the device do it, which Linux's virtio_net does when asked
 *
 * The receiver prints "listening" first, and "MESSAGES messages" at its end. A datagram that does not come
 * for 120 s is an error.
 */
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { SEGMENT_WORDS = 256, SEGMENT_BYTES = SEGMENT_WORDS * 4, SEGMENTS = 32, WAIT_S = 120 };

static uint32_t message[SEGMENTS][SEGMENT_WORDS];

static void die(const char *what)
{
	fputs("udp_segments: ", stderr);
	perror(what);
	exit(1);
}

static int udp_socket(void)
{
	const struct timeval wait = {.tv_sec = WAIT_S};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		die("socket");
	return fd;
}

static void fill(uint32_t number)
{
	for (uint32_t s = 0; s < SEGMENTS; s++)
		for (uint32_t i = 0; i < SEGMENT_WORDS; i++)
			message[s][i] = (number * SEGMENTS + s) * SEGMENT_WORDS + i;
}

static void send_all(const struct sockaddr_in *to, uint32_t messages)
{
	const int segment = SEGMENT_BYTES;
	int fd = udp_socket();
	char ack;

	if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)) < 0 ||
	    connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		die("connect");
	for (uint32_t n = 0; n < messages; n++) {
		fill(n);
		if (send(fd, message, sizeof(message), 0) != sizeof(message))
			die("send");
		if (recv(fd, &ack, 1, 0) != 1)
			die("acknowledgement");
	}
	close(fd);
}

static void receive_all(const struct sockaddr_in *at, uint32_t messages)
{
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	int fd = udp_socket();

	if (bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0)
		die("bind");
	puts("listening");
	fflush(stdout);
	for (uint32_t n = 0; n < messages; n++) {
		fill(n);
		for (unsigned s = 0; s < SEGMENTS; s++) {
			uint32_t got[SEGMENT_WORDS + 1];
			ssize_t len = recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&from,
					       &from_len);

			if (len != SEGMENT_BYTES || memcmp(got, message[s], SEGMENT_BYTES) != 0)
				die("a datagram that is not the right one");
		}
		if (sendto(fd, "", 1, 0, (const struct sockaddr *)&from, from_len) != 1)
			die("acknowledge");
	}
	printf("%u messages\n", messages);
	close(fd);
}

/*
 * ethtool -K IFNAME tx-udp-segmentation on, for where there is no ethtool. Features have names, whose places
 * in the list of all names are their bits.
 */
enum { NAMES_MAX = 128 };

static void ethtool(int fd, const char *ifname, void *command)
{
	struct ifreq ifr = {.ifr_data = command};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(fd, SIOCETHTOOL, &ifr) < 0)
		die("ethtool");
}

static void enable(const char *ifname)
{
	struct ethtool_gstrings *names =
		calloc(1, sizeof(*names) + (size_t)NAMES_MAX * ETH_GSTRING_LEN);
	struct ethtool_sfeatures *set =
		calloc(1, sizeof(*set) + NAMES_MAX / 32 * sizeof(set->features[0]));
	int fd = udp_socket();
	uint32_t bit = 0;

	if (!names || !set)
		die("memory");
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	ethtool(fd, ifname, names);
	while (bit < names->len && strcmp((const char *)names->data + (size_t)bit * ETH_GSTRING_LEN,
					  "tx-udp-segmentation") != 0)
		bit++;
	if (bit >= names->len || bit >= NAMES_MAX)
		die("no such feature");
	set->cmd = ETHTOOL_SFEATURES;
	set->size = (names->len + 31) / 32;
	set->features[bit / 32].valid = UINT32_C(1) << bit % 32;
	set->features[bit / 32].requested = UINT32_C(1) << bit % 32;
	ethtool(fd, ifname, set);
	free(names);
	free(set);
	close(fd);
}

int main(int argc, char **argv)
{
	const char *const addr = argc == 5 ? argv[2] : "0.0.0.0";
	struct sockaddr_in at = {.sin_family = AF_INET};

	if (argc == 3 && strcmp(argv[1], "enable") == 0) {
		enable(argv[2]);
		return 0;
	}
	if (argc < 4 || inet_pton(AF_INET, addr, &at.sin_addr) != 1)
		return 2;
	at.sin_port = htons((uint16_t)strtoul(argv[argc - 2], NULL, 10));
	if (strcmp(argv[1], "send") == 0 && argc == 5)
		send_all(&at, (uint32_t)strtoul(argv[4], NULL, 10));
	else if (strcmp(argv[1], "receive") == 0 && argc == 4)
		receive_all(&at, (uint32_t)strtoul(argv[3], NULL, 10));
	else
		return 2;
	return 0;
}
