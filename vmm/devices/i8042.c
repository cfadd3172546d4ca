/*
 * Intel 8042 keyboard controller as an AT has it (IBM AT Technical Reference, "Keyboard Controller";
 * PS/2 names for what differs), with no keyboard and no auxiliary device: what keeps a kernel from
 * waiting, and a way to reset. Range 0: data, port 0x60. Range 1: status and command, port 0x64.
 *
 * Modelled: status, the command byte and the other internal RAM (0x20-0x3f, 0x60-0x7f), self-test
 * (0xaa), interface tests (0xa9, 0xab), enabling and disabling the keyboard (0xad, 0xae), input and
 * output port (0xc0, 0xd0, 0xd1), echoes (0xd2, 0xd3), pulses (0xf0-0xff). Output port bit 0 low, or
 * a pulse of it, resets the machine; bit 1, A20, is only stored: the line is always on.
 * Not modelled: keyboard, auxiliary interface, interrupts, password commands, scan code translation.
 *
 * Linux waits in three places, each of up to 500 ms a command (i8042_wait_read(), i8042_wait_write()
 * in drivers/input/serio/i8042.c, the same from 4.1 to 6.x):
 * - until the input buffer is empty: here it always is;
 * - for an answer: every command that it expects one of gets it at once. Reading the command byte
 *   twice gives the same value, as i8042_controller_init() insists on;
 * - for the auxiliary interrupt, 250 ms, once the interface looks real: so the answer to 0xd3 does
 *   not carry the auxiliary flag and 0xa9 reports a fault, and i8042_check_aux() ends there.
 * The command byte starts with translation on, or psmouse would also try the keyboard port. A byte
 * for the absent keyboard is answered with 0xfe and the time-out flag, so a guest that polls learns
 * at once that nobody is there. Linux does not poll: with no interrupt, atkbd waits 2 x 200 ms for an
 * acknowledgement (libps2), on a work queue, concurrently with the boot. None of this happens when the FADT says
 * that there is no 8042 (IAPC_BOOT_ARCH bit 1 clear) and the DSDT names none: then Linux does not
 * probe, and can still reset through port 0x64.
 *
 * Environment: power. Threads: any vCPU; iobus holds the device's lock around each op.
 */
#include <string.h>

#include "base/macros.h"
#include "device.h"
#include "devices/classes.h"

enum { RANGE_DATA = 0, RANGE_COMMAND = 1 };

enum { /* status register */
       STATUS_OBF = 1 << 0,
       STATUS_SYS = 1 << 2,    /* follows the command byte: self-test passed */
       STATUS_CMD = 1 << 3,    /* the last write went to port 0x64 */
       STATUS_UNLOCK = 1 << 4, /* the key lock is open */
       STATUS_AUX = 1 << 5,    /* the byte in the output buffer came from the auxiliary device */
       STATUS_TIMEOUT = 1 << 6,
};

enum { /* command byte: internal RAM byte 0 */
       CB_SYS = 1 << 2,
       CB_KBD_DISABLE = 1 << 4,
       CB_AUX_DISABLE = 1 << 5,
       CB_TRANSLATE = 1 << 6,
       CB_POWER_ON = CB_TRANSLATE | CB_AUX_DISABLE | CB_KBD_DISABLE | CB_SYS,
};

enum { /* commands */
       CMD_READ_RAM = 0x20,
       CMD_WRITE_RAM = 0x60,
       CMD_AUX_DISABLE = 0xa7,
       CMD_AUX_ENABLE = 0xa8,
       CMD_AUX_TEST = 0xa9,
       CMD_SELF_TEST = 0xaa,
       CMD_KBD_TEST = 0xab,
       CMD_KBD_DISABLE = 0xad,
       CMD_KBD_ENABLE = 0xae,
       CMD_READ_INPUT_PORT = 0xc0,
       CMD_READ_OUTPUT_PORT = 0xd0,
       CMD_WRITE_OUTPUT_PORT = 0xd1,
       CMD_ECHO_KBD = 0xd2,
       CMD_ECHO_AUX = 0xd3,
       CMD_WRITE_AUX = 0xd4,
       CMD_PULSE = 0xf0,
       CMD_NONE = 0x00, /* no command waits for a data byte */
};

enum {
	RAM_BYTES = 0x20,
	RAM_MASK = RAM_BYTES - 1,

	OUTPUT_RESET = 1 << 0, /* low: the CPU is held in reset */
	OUTPUT_A20 = 1 << 1,
	INPUT_UNLOCK = 1 << 7, /* the key lock is open */

	SELF_TEST_OK = 0x55,
	KBD_TEST_OK = 0x00,
	AUX_TEST_CLOCK_LOW = 0x01, /* what a line that leads nowhere may look like */
	RESEND = 0xfe,             /* the controller's own answer after a time-out */
};

struct i8042 {
	struct device dev;
	struct power *power; /* borrowed */
	uint8_t ram[RAM_BYTES];
	uint8_t output_port;
	uint8_t output_buffer;
	uint8_t flags;   /* STATUS_OBF, _AUX, _TIMEOUT and _CMD as last set */
	uint8_t waiting; /* the command whose data byte comes next, or CMD_NONE */
};

/* The buffer holds one byte: an answer replaces what the guest did not read, as on hardware. */
static void answer(struct i8042 *kbc, uint8_t byte, uint8_t flags)
{
	kbc->output_buffer = byte;
	kbc->flags = (uint8_t)((kbc->flags & STATUS_CMD) | STATUS_OBF | flags);
}

static void set_ram(struct i8042 *kbc, unsigned i, uint8_t byte)
{
	if (i == 0)
		byte |= CB_AUX_DISABLE; /* there is no such interface to enable */
	kbc->ram[i] = byte;
}

static void end_by_reset(struct i8042 *kbc)
{
	kbc->power->end(kbc->power, (struct vm_end){.kind = VM_END_RESET, .by = "i8042 reset"});
}

static void set_output_port(struct i8042 *kbc, uint8_t byte)
{
	kbc->output_port = byte;
	if (!(byte & OUTPUT_RESET))
		end_by_reset(kbc);
}

/* Some commands carry an operand in their low bits: the first of the family such a one belongs to. */
static uint8_t family(uint8_t cmd)
{
	const uint8_t ram = (uint8_t)(cmd & ~RAM_MASK);

	if (ram == CMD_READ_RAM || ram == CMD_WRITE_RAM)
		return ram;
	return cmd >= CMD_PULSE ? CMD_PULSE : cmd;
}

static void command(struct i8042 *kbc, struct io_at at, uint8_t cmd)
{
	kbc->waiting = CMD_NONE;
	switch (family(cmd)) {
	case CMD_READ_RAM: answer(kbc, kbc->ram[cmd & RAM_MASK], 0); break;
	case CMD_WRITE_RAM:
	case CMD_WRITE_OUTPUT_PORT:
	case CMD_ECHO_KBD:
	case CMD_ECHO_AUX:
	case CMD_WRITE_AUX: kbc->waiting = cmd; break;
	case CMD_SELF_TEST:
		set_ram(kbc, 0, kbc->ram[0] | CB_SYS);
		answer(kbc, SELF_TEST_OK, 0);
		break;
	case CMD_KBD_TEST: answer(kbc, KBD_TEST_OK, 0); break;
	case CMD_AUX_TEST: answer(kbc, AUX_TEST_CLOCK_LOW, 0); break;
	case CMD_AUX_DISABLE:
	case CMD_AUX_ENABLE: break; /* accepted; CB_AUX_DISABLE stays set */
	case CMD_KBD_DISABLE: set_ram(kbc, 0, kbc->ram[0] | CB_KBD_DISABLE); break;
	case CMD_KBD_ENABLE: set_ram(kbc, 0, kbc->ram[0] & (uint8_t)~CB_KBD_DISABLE); break;
	case CMD_READ_INPUT_PORT: answer(kbc, INPUT_UNLOCK, 0); break;
	case CMD_READ_OUTPUT_PORT: answer(kbc, kbc->output_port, 0); break;
	case CMD_PULSE:
		if (!(cmd & OUTPUT_RESET)) /* zeros are the lines that are pulsed low */
			end_by_reset(kbc);
		break;
	default: device_guest_error(&kbc->dev, at); break;
	}
}

static void data(struct i8042 *kbc, uint8_t byte)
{
	const uint8_t cmd = kbc->waiting;

	kbc->waiting = CMD_NONE;
	switch (family(cmd)) {
	case CMD_WRITE_RAM: set_ram(kbc, cmd & RAM_MASK, byte); break;
	case CMD_WRITE_OUTPUT_PORT: set_output_port(kbc, byte); break;
	case CMD_ECHO_KBD:
	case CMD_ECHO_AUX: answer(kbc, byte, 0); break; /* without STATUS_AUX: see the head */
	case CMD_WRITE_AUX: answer(kbc, RESEND, STATUS_AUX | STATUS_TIMEOUT); break;
	default: /* for the keyboard; sending to it enables it */
		set_ram(kbc, 0, kbc->ram[0] & (uint8_t)~CB_KBD_DISABLE);
		answer(kbc, RESEND, STATUS_TIMEOUT);
		break;
	}
}

static uint8_t status(const struct i8042 *kbc)
{
	return (uint8_t)(kbc->flags | STATUS_UNLOCK | (kbc->ram[0] & CB_SYS ? STATUS_SYS : 0));
}

static uint64_t i8042_read(struct device *dev, struct io_at at)
{
	struct i8042 *kbc = container_of(dev, struct i8042, dev);

	if (at.range == RANGE_COMMAND)
		return status(kbc);
	kbc->flags &= STATUS_CMD; /* the buffer is empty now; reading again gives the same byte */
	return kbc->output_buffer;
}

static void i8042_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct i8042 *kbc = container_of(dev, struct i8042, dev);

	if (at.range == RANGE_COMMAND) {
		kbc->flags |= STATUS_CMD;
		command(kbc, at, (uint8_t)val);
	} else {
		kbc->flags &= (uint8_t)~STATUS_CMD;
		data(kbc, (uint8_t)val);
	}
}

/* As firmware would leave it: self-test passed, keyboard disabled, A20 on. */
static void i8042_reset(struct device *dev)
{
	struct i8042 *kbc = container_of(dev, struct i8042, dev);

	memset(kbc->ram, 0, sizeof(kbc->ram));
	kbc->ram[0] = CB_POWER_ON;
	kbc->output_port = OUTPUT_RESET | OUTPUT_A20;
	kbc->output_buffer = kbc->flags = 0;
	kbc->waiting = CMD_NONE;
}

static int i8042_init(struct device *dev, const struct device_env *env)
{
	container_of(dev, struct i8042, dev)->power = env->power;
	i8042_reset(dev);
	return 0;
}

const struct device_class i8042_class = {
	.name = "i8042",
	.fdt_compatible = "tollgate,i8042",
	.state_size = sizeof(struct i8042),
	.max_access = 1,
	.init = i8042_init,
	.reset = i8042_reset,
	.read = i8042_read,
	.write = i8042_write,
};
