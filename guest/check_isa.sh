#!/bin/sh
# check_isa.sh KERNEL... - fails when a kernel holds an instruction that it must not: what some
# hosts' KVM cannot emulate, and SSE, x87 and MMX, which no kernel turns on. Needs objdump.
set -eu

forbidden='cmpxchg16b|popcnt|xrstor[a-z0-9]*|xsave[a-z0-9]*|fxsave|fxrstor|int3|int|clac|stac|fwait'
forbidden="$forbidden|[lms]fence|swapgs|syscall|sysret|movbe|tzcnt|lzcnt"
prefix='(lock|rep|repz|repnz) '
insn="^ *[0-9a-f]+:[[:space:]]+($prefix)?($forbidden)([[:space:]]|\$)"
register='%[xyz]?mm[0-9]|%st\b'

status=0

for kernel in "$@"; do
	# 32-bit code that is read as 64-bit code is other instructions.
	code=$(objdump -d --no-show-raw-insn -j .text "$kernel") || exit 2
	code=$code$(objdump -d --no-show-raw-insn -j .text32 -M i386 "$kernel") || exit 2
	if ! printf '%s\n' "$code" | grep -q '<pvh_entry>:'; then
		echo "$kernel: no pvh_entry in its code" >&2
		status=1
	fi
	found=$(printf '%s\n' "$code" | grep -E "$insn|$register" | head -5) || true
	if [ -n "$found" ]; then
		printf '%s:\n%s\n' "$kernel" "$found" >&2
		status=1
	fi
done
exit $status
