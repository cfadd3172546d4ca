#!/usr/bin/env bash
# module_tree.sh ROOT - makes ROOT/lib/modules/9.9, a modules directory as depmod(8) leaves it, of modules
# that hold nothing but what depmod reads:
#
#   virtio <- virtio_ring (xz) <- virtio_mmio (zstd), virtio_blk (gzip); virtio-rng; virtio_net built in;
#   vmw_vsock_virtio_transport, which needs vsock
#   ext9   with the alias fs-ext9, and softly in need of crc9, an alias of crc9-sw, which needs crc9-lib
#   broken, truncated   not ELF; xz data that ends too early
set -euo pipefail
tree=$1/lib/modules/9.9
mkdir -p "$tree/kernel"

# module NAME EXPORTED NEEDED INFO...: symbols that it exports and needs, and records of its .modinfo.
module() {
	local name=$1 exported=$2 needed=$3 word
	shift 3
	{
		printf '.section .modinfo,"a",@progbits\n.asciz "name=%s"\n' "$name"
		for word; do printf '.asciz "%s"\n' "$word"; done
		printf '.section __ksymtab_strings,"a",@progbits\n'
		for word in $exported; do printf '.asciz "%s"\n' "$word"; done
		printf '.data\n'
		for word in $needed; do printf '.quad %s\n' "$word"; done
	} | as -o "$tree/kernel/$name.ko" -
}

module virtio 'register_driver' ''
module virtio_ring 'new_queue' 'register_driver'
module virtio_mmio '' 'register_driver new_queue'
module virtio_blk '' 'new_queue'
module virtio-rng '' 'register_driver'
module vsock 'new_socket' ''
module vmw_vsock_virtio_transport '' 'register_driver new_socket'
module ext9 '' '' 'softdep=pre: crc9' 'alias=fs-ext9'
module crc9-sw '' 'crc9_table' 'alias=crc9'
module crc9-lib 'crc9_table' ''
module broken '' ''
module truncated '' ''
echo kernel/drivers/net/virtio_net.ko >"$tree/modules.builtin"
touch "$tree/modules.order" "$tree/modules.builtin.modinfo"
xz "$tree/kernel/virtio_ring.ko"
zstd -q --rm "$tree/kernel/virtio_mmio.ko"
PATH=$PATH:/sbin:/usr/sbin depmod -b "$1" 9.9

# Files that this distribution's depmod may not read: Tollgate goes by the content.
gzip "$tree/kernel/virtio_blk.ko"
mv "$tree/kernel/virtio_blk.ko.gz" "$tree/kernel/virtio_blk.ko"
echo 'no module' >"$tree/kernel/broken.ko"
head -c 100 <(xz -c "$tree/kernel/virtio.ko") >"$tree/kernel/truncated.ko"
