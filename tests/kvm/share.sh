#!/usr/bin/env bash
# Shared directories on the real KVM, driven by guest/kernels/share: what the guest may do and what the directory
# becomes; the device while it is unplugged, reset and paused.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

text=0123456789abcdef

# directory: share/ as guest/kernels/share wants it, and outside/ that it must not reach.
directory() {
	rm -rf share outside
	mkdir -p share/dir outside
	printf %s "$text" >share/file
	ln -s ../outside share/link
	printf secret >outside/file
}

# drive CHECKS WORDS ARGUMENT...: the kernel passes with these words, and the tollgate arguments.
drive() {
	local checks=$1 words=$2
	shift 2
	directory
	tollgate run --stats=json:stats -p "$words" "$@" "$(kernel share)"
	ended 0 'exit code 0 (exit port)'
	! grep 'FAIL ' "$case_dir/out" || fail 'a check of the kernel failed'
	printed "^$checks passed, 0 failed\$"
	holds stats '.virtio[0] | .device == "share0" and .type == "file system" and .resets_needed == 0'
	same 'outside' "$(ls outside) $(cat outside/file)" 'file secret'
	same 'the file' "$(cat share/file)" "$text"
}

case_the_kernel_passes_and_the_host_has_its_file() {
	local how
	for how in '' '--exits all' '-c 2'; do
		# shellcheck disable=SC2086 # words
		drive 46 "queues=$([[ $how == -c* ]] && echo 2 || echo 1)" --share share,tag=test $how
		same 'the new file' "$(cat share/made)" "$text"
		same 'its mode' "$(stat -c %a share/made)" 644
		holds stats '.virtio[0] | .read_bytes == 20 and .written_bytes == 16'
		holds stats '.virtio[0] | .known_files == 2 and .open_files == 0 and .host_descriptors == 1'
	done
}

case_a_read_only_directory_stays_as_it_is() {
	drive 44 readonly --share share,tag=test,ro
	same 'the directory' "$(find share | sort | tr '\n' ' ')" 'share share/dir share/file share/link '
	holds stats '.virtio[0] | .written_bytes == 0'
}

case_of_several_each_has_its_own() {
	directory
	mkdir other
	tollgate run --stats=json:stats --share share,tag=test --share other,ro "$(kernel share)"
	ended 0 'exit code 0 (exit port)'
	holds stats '[.virtio[].device] == ["share0", "share1"]'
	same 'the other' "$(ls -A other)" ''
}

case_a_directory_that_cannot_be_had_is_refused() {
	tollgate run --share nowhere "$(kernel share)"
	complained_of "share-open nowhere"
	tollgate run --share "$(kernel share)" "$(kernel share)"
	complained_of share-open
}

run_cases
