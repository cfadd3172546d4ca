#!/bin/sh
# The job of bench/share, next to the KVM: run.sh ROUNDS. A line of /results/times: round, work, VMM, nanoseconds.
set -u
rounds=$1 round=1
words="console=ttyS0 8250.nr_uarts=1 pci=off panic=-1 reboot=t quiet cryptomgr.notests" # for both

boot() {
	case $1 in
	tollgate) tollgate run --mem 512M --timeout 900 --append "$words" --share /w/share,tag=share \
		--initrd /w/guest.cpio /boot/vmlinuz ;;
	qemu)
		rm -f /tmp/fs.sock
		/usr/bin/virtiofsd --socket-path=/tmp/fs.sock -o source=/w/share -o cache=auto -o sandbox=chroot \
			>"/results/virtiofsd.$round" 2>&1 &
		until [ -S /tmp/fs.sock ]; do kill -0 $! || return 1; sleep 0.1; done
		timeout 900 /usr/bin/qemu-system-x86_64 -L /w/firmware -M microvm,isa-serial=on,rtc=on -accel kvm -cpu host \
			-m 512 -smp 1 -object memory-backend-memfd,id=mem,size=512M,share=on -machine memory-backend=mem \
			-nodefaults -no-user-config -display none -no-reboot -serial stdio -kernel /boot/vmlinuz \
			-initrd /w/guest.cpio -append "$words" -global virtio-mmio.force-legacy=false \
			-chardev socket,id=c0,path=/tmp/fs.sock -device vhost-user-fs-device,chardev=c0,tag=share ;;
	esac </dev/null >"/results/console.$1.$round" 2>&1
}

# NAME ARGUMENT...: exec to exit.
timed() {
	name=$1
	shift
	a=$(clock_ns)
	tollgate run --mem 512M "$@" >"/results/$name.$round" 2>&1 || cat "/results/$name.$round"
	b=$(clock_ns)
	echo "$round $name tollgate $((b - a))" | tee -a /results/times
}

mkdir -p /var/run /root
cat /boot/vmlinuz /w/guest.cpio >/dev/null
timed warm-up --modules auto /boot/vmlinuz --run true
while [ "$round" -le "$rounds" ]; do
	timed run-true /boot/vmlinuz --run true
	timed run-true-modules --modules auto --share /tmp /boot/vmlinuz --run true
	timed root-of-host /boot/vmlinuz --root-of-host -- true
	if [ $((round % 2)) = 1 ]; then order='tollgate qemu'; else order='qemu tollgate'; fi
	for vmm in $order; do
		boot "$vmm"
		! grep -a -A 2 FAILED "/results/console.$vmm.$round"
		grep -aq '^@@ unpack' "/results/console.$vmm.$round" || { echo "$vmm: no end"; cat "/results/console.$vmm.$round" /results/virtiofsd.*; }
		tr -d '\r' <"/results/console.$vmm.$round" | sed -n "s/^@@ \([^ ]*\) \([0-9]*\).*/$round \1 $vmm \2/p" | tee -a /results/times
	done
	round=$((round + 1))
done
