# Sourced by the tests of smoke boots, after lib.bash.
# shellcheck shell=bash disable=SC2154 # case_dir, status and the like are lib.bash's

# judged STATUS LINE: the exit status, and the one boot's line.
judged() {
	local line
	line=$(grep -E '^(PASS|FAIL) ' "$case_dir/out") || true
	if [ "$status" != "$1" ] || [ "$line" != "$2" ]; then
		show
		fail "not '$2' with status $1"
	fi
}

# speak FILE END: a kernel that prints standard input on its console, and then ends: with "off" through
# the exit port, with "reset" by the reset register, with "again" by printing it again, with "hang" never.
# Interrupts are on then, so that its CPU is not one that has halted for good.
speak() {
	cat >"$1.text"
	# shellcheck disable=SC2016 # assembly
	local -A end=([off]='xor %al, %al; out %al, $0xf4; hlt' [hang]='sti; 5: hlt; jmp 5b' [again]='jmp again'
		[reset]='mov $0xcf9, %dx; mov $6, %al; out %al, %dx; hlt')
	assemble "$1" <<-END
		.code16
		again: call 1f
		1: pop %si
		add \$text - 1b, %si
		mov \$$(stat -c %s "$1.text"), %cx
		cld
		2: mov \$0x3fd, %dx # LSR
		3: in %dx, %al
		test \$0x20, %al # THRE
		jz 3b
		mov \$0x3f8, %dx
		lodsb
		out %al, %dx
		loop 2b
		${end[$2]}
		text: .incbin "$1.text"
	END
}

# smoke_of FILE OPTION...: boots what speak made.
smoke_of() {
	local file=$1
	shift
	tollgate smoke --flat 0x7c00,real "$@" "$file"
}

# Nothing of it reaches a terminal: no control character but newline and tab, only valid UTF-8.
harmless() {
	! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]' "$1" || fail "control characters in $1"
	iconv -f UTF-8 -t UTF-8 "$1" >/dev/null || fail "$1 is not UTF-8"
}
