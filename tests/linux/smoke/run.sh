#!/bin/sh
# The smoke job: the kernel offers KVM, and KVM runs a guest.
set -eu

[ -c /dev/kvm ] || {
	echo "smoke: no /dev/kvm"
	exit 1
}
if [ "$TESTBED" = tcg ]; then
	read -r npt </sys/module/kvm_amd/parameters/npt
	echo "smoke: kvm_amd is there, nested paging: $npt"
fi
kvm_smoke | tee /results/kvm_smoke.txt
grep -q '^PASS' /results/kvm_smoke.txt
