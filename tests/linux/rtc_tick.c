/*
 * rtc_tick.c - has L1's real-time clock interrupt from now on: once a second, or 64 times where Linux has a
 * HPET stand in for the clock, as under QEMU. It stays in the background, as the clock stops when nobody has
 * it open. README.md, "Interrupts that TCG loses".
 */
#include <fcntl.h>
#include <linux/rtc.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
	const int fd = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, RTC_UIE_ON, 0) < 0) {
		perror("rtc_tick: /dev/rtc0");
		return 1;
	}
	switch (fork()) {
	case -1: perror("rtc_tick: fork"); return 1;
	case 0: break;
	default: return 0;
	}
	for (;;)
		pause();
}
