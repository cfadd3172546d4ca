# kernels.bash - sourced by testbed: the kernels of Debian's (or Ubuntu's) packages, as a cache.
# shellcheck shell=bash
#
#   $cache/kernels/PACKAGE_VERSION/tree/{vmlinuz,vmlinux,config,release,modules/}
#   $cache/kernels/PACKAGE_VERSION/guest.ext4   the tree as an image
#   $cache/current-FLAVOUR                      link to the one that apt resolves to
#   $cache/resolved-FLAVOUR                     when it was resolved
#   $cache/lock                                 held while any of this changes
#
# A kernel's directory appears by a rename when it is whole, so what is there can be trusted.
# Functions that set -e must guard are never called as a condition: bash would switch it off.
: "${cache:?set by testbed, as are say, die and apt_update}"
apt_options=()

# Debian 12 has kernels newer than its own among its security updates, and a minimal installation does not name these as
# a source. Sets apt_options, with which apt knows them alone, and changes no list of this machine. Fails without them.
use_security_updates() {
	local dir=$cache/apt keys=/usr/share/keyrings/debian-archive-keyring.gpg uri release
	read -r uri release < <(apt-get indextargets --format "\$(REPO_URI) \$(CODENAME)" 'Identifier: Packages' \
		'Origin: Debian' 2>/dev/null | grep -v -e -security -e -backports) || return 1
	mkdir -p "$dir/lists/partial"
	echo "deb [signed-by=$keys] ${uri%/}-security $release-security main" >"$dir/sources.list"
	apt_options=(-o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o "Dir::State::Lists=$dir/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
	say "looking for newer kernels in $release-security"
	timeout -k 5 600 apt-get -q "${apt_options[@]}" -o Acquire::Retries=3 -o APT::Sandbox::User=root \
		-o APT::Update::Error-Mode=any update >&2
}

# Whether virtio and tap of that kernel have all that a guest of today may use, UDP segmentation among it.
is_new_kernel() {
	[[ $(printf '%s\n' linux-image-6.2 "$1" | sort -V | head -n 1) == linux-image-6.2 ]]
}

# The meta-packages that could name a flavour's kernel.
meta_packages() {
	local flavour=$1 names ubuntu=''
	names=$(apt-cache "${apt_options[@]}" pkgnames linux-image-)
	grep -qx linux-image-amd64 <<<"$names" || ubuntu=-ubuntu
	case $flavour$ubuntu in
	cloud) echo linux-image-cloud-amd64 ;;
	generic) echo linux-image-amd64 ;;
	new) grep -xE 'linux-image-([0-9.]+-)?cloud-amd64' <<<"$names" ;;
	cloud-ubuntu) echo linux-image-virtual ;;
	generic-ubuntu) echo linux-image-generic ;;
	new-ubuntu) grep -xE 'linux-image-virtual(-hwe-[0-9.]+)?' <<<"$names" ;;
	esac
}

# From the output of `apt-cache show`: a line "VERSION NAME" or "VERSION NAME=ITS-VERSION" for each
# dependency whose name matches the expression $1.
dependencies_matching() {
	awk -v pattern="^($1)\$" '
		/^Version:/ { version = $2 }
		/^Depends:/ {
			sub(/^Depends: */, "")
			n = split($0, depends, / *, */)
			for (i = 1; i <= n; i++) {
				split(depends[i], word, / +/)
				exact = depends[i] ~ /\(= / ? "=" word[3] : ""
				sub(/\)$/, "", exact)
				if (word[1] ~ pattern) print version, word[1] exact
			}
		}'
}

# Prints the packages that make up a flavour's kernel: the image, and those of its parts that a release has
# apart (Ubuntu the modules; Debian 14 the modules, the binary and the configuration). `new` is the newest of all
# versions that apt knows (backports too), the others what apt would install. apt is asked with apt_options.
resolve_kernel() {
	local flavour=$1 metas versions=--no-all-versions image
	mapfile -t metas < <(meta_packages "$flavour")
	((${#metas[@]})) || return 1
	[[ $flavour != new ]] || versions=--all-versions
	image=$(apt-cache "${apt_options[@]}" show "$versions" "${metas[@]}" 2>/dev/null |
		dependencies_matching 'linux-image-[0-9].*' | sort -V | tail -n 1 | cut -d' ' -f2)
	[[ -n $image ]] || return 1
	echo "$image"
	apt-cache "${apt_options[@]}" show --no-all-versions "$image" 2>/dev/null |
		dependencies_matching 'linux-(base|binary|modules)-[0-9].*' | cut -d' ' -f2
}

# Sets packages, and the apt_options that find them.
find_packages() {
	local newer
	apt_options=()
	mapfile -t packages < <(resolve_kernel "$1")
	[[ $1 == new && -n ${packages[*]} ]] || return 0
	! is_new_kernel "${packages[0]}" || return 0
	if use_security_updates; then
		mapfile -t newer < <(resolve_kernel new)
		if [[ -n ${newer[*]} ]] && is_new_kernel "${newer[0]}"; then
			packages=("${newer[@]}")
			return 0
		fi
	fi
	apt_options=()
}

# Downloads packages into the directory $1. apt checks them against the hashes of signed lists.
download_packages() {
	local dir=$1 attempt
	shift
	for attempt in 1 2 3; do
		rm -f "$dir"/*.deb
		if (cd "$dir" && timeout -k 5 600 apt-get -q "${apt_options[@]}" -o Acquire::Retries=3 \
			-o APT::Sandbox::User=root download "$@") >&2; then
			return 0
		fi
		say "download of $* failed (attempt $attempt of 3)"
		((attempt == 3)) || sleep $((attempt * 3))
	done
	return 1
}

# Resolves a flavour and, unless the cache has that kernel, downloads it to $2. Sets ret_dir, the
# kernel's directory relative to $cache. Lists that are missing, or older than the archive (names
# vanish from it), are updated once. Fit to be called as a condition: it checks each step itself.
fetch_kernel() {
	local flavour=$1 debs=$2 packages attempt
	for attempt in 1 2; do
		find_packages "$flavour"
		if ((${#packages[@]})); then
			ret_dir=kernels/${packages[0]/=/_}
			[[ ! -d $cache/$ret_dir ]] || return 0
			say "fetching ${packages[*]} for '$flavour'"
			! download_packages "$debs" "${packages[@]}" || return 0
		else
			say "apt knows no kernel package for '$flavour'"
		fi
		((attempt == 1)) || return 1
		say "updating apt's lists"
		apt_update || say "apt-get update failed"
	done
}

# Extracts the ELF kernel from a bzImage: payload_offset of Linux's Documentation/arch/x86/boot.rst.
extract_vmlinux() {
	local bzimage=$1 vmlinux=$2 setup_sects offset length start size decompress
	setup_sects=$(od -An -tu1 -j $((0x1f1)) -N1 "$bzimage")
	read -r offset length < <(od -An -tu4 -j $((0x248)) -N8 "$bzimage")
	start=$(((setup_sects + 1) * 512 + offset))
	# The payload ends with the unpacked size; gzip has it in its format, others got it added.
	size=$(od -An -tu4 -j $((start + length - 4)) -N4 "$bzimage")
	case $(od -An -tx1 -j "$start" -N4 "$bzimage") in
	' 1f 8b '*) decompress=(gzip -dc) length=$((length + 4)) ;;
	' 02 21 4c 18') decompress=(lz4 -dc) ;;
	' fd 37 7a 58') decompress=(xz -dc) ;;
	' 28 b5 2f fd') decompress=(zstd -dc) ;;
	*) die "$bzimage: unknown compression" ;;
	esac
	dd if="$bzimage" bs=64K iflag=skip_bytes,count_bytes skip="$start" count=$((length - 4)) \
		status=none | "${decompress[@]}" >"$vmlinux"
	(($(stat -c %s "$vmlinux") == size)) || die "$bzimage: the payload has not the size it states"
	[[ $(od -An -tx1 -N4 "$vmlinux") == ' 7f 45 4c 46' ]] || die "$bzimage: the payload is no ELF file"
}

# Reads modules.dep; prints the modules a virtual machine can use and all they depend on.
modules_for_guests() {
	awk '
		function want(i, n, list) {
			if (wanted[i]++) return
			print i
			n = split(depends[i], list, " ")
			while (n) want(list[n--])
		}
		{ i = $1; sub(/:$/, "", i); $1 = ""; depends[i] = $0 }
		END {
			for (i in depends)
				if (i !~ /^kernel\/(drivers|sound)\// || i ~ /virtio|vhost|pvpanic/ ||
				    i ~ /^kernel\/drivers\/(block|char|dax|nvdimm|ptp|rtc|tty|watchdog)\// ||
				    i ~ /^kernel\/drivers\/net\/[^\/]*$/)
					want(i)
		}'
}

# Unpacks the modules for guests from ROOT/lib/modules/RELEASE, $1, to $2: uncompressed, with a
# modules.dep that lists no others. All of Debian's generic ones would be 390 MB.
unpack_modules() {
	local tree=$1 dest=$2 line
	find "$tree" -name '*.ko.xz' -exec xz -d -- {} +
	find "$tree" -name '*.ko.zst' -exec zstd -q -d --rm -- {} +
	busybox depmod -b "${tree%/lib/modules/*}" "${tree##*/}"
	mkdir "$dest"
	cp "$tree/modules.builtin" "$tree/modules.order" "$dest"
	modules_for_guests <"$tree/modules.dep" | (cd "$tree" && cpio --quiet -pdm "$dest")
	while read -r line; do
		[[ ! -e $dest/${line%%:*} ]] || echo "$line"
	done <"$tree/modules.dep" >"$dest/modules.dep"
}

# Makes one kernel's directory at $1 from the packages in $2.
unpack_kernel() {
	local dest=$1 debs=$2 deb release vmlinuz config kib
	for deb in "$debs"/*.deb; do
		dpkg-deb -x "$deb" "$debs/x"
	done
	# Later releases ship /usr/lib/modules.
	[[ -d $debs/x/lib/modules ]] || mv -T "$debs/x/usr/lib" "$debs/x/lib"
	release=$(ls "$debs/x/lib/modules")
	vmlinuz=$debs/x/boot/vmlinuz-$release
	config=$debs/x/boot/config-$release
	# Debian 14 has them with the modules.
	[[ -f $vmlinuz ]] || vmlinuz=$debs/x/lib/modules/$release/vmlinuz
	[[ -f $config ]] || config=$debs/x/lib/modules/$release/config
	[[ -f $vmlinuz && -f $config ]] || die "these are not the kernel packages expected: $debs"
	mkdir -p "$dest/tree"
	cp "$vmlinuz" "$dest/tree/vmlinuz"
	cp "$config" "$dest/tree/config"
	echo "$release" >"$dest/tree/release"
	extract_vmlinux "$vmlinuz" "$dest/tree/vmlinux"
	unpack_modules "$debs/x/lib/modules/$release" "$dest/tree/modules"
	chmod -R a+rX "$dest"
	kib=$(du -sk --apparent-size "$dest/tree" | cut -f1)
	truncate -s "$((kib * 5 / 4 + 8192))K" "$dest/guest.ext4"
	mke2fs -q -t ext4 -m 0 -O ^has_journal -E root_owner=0:0 -d "$dest/tree" "$dest/guest.ext4" >&2
}

# Removes kernels that no flavour names any more, unless a run still holds them.
prune_kernels() {
	local dir link fd
	for dir in "$cache"/kernels/*; do
		for link in "$cache"/current-*; do
			[[ $(readlink "$link") != "kernels/${dir##*/}" ]] || continue 2
		done
		exec {fd}<"$dir"
		if flock -n -x "$fd"; then rm -rf "$dir"; fi
		exec {fd}<&-
	done
}

# The version that apt resolves to can only change with its lists.
kernel_is_current() {
	[[ -d $cache/current-$1 && ! /var/lib/apt/lists -nt $cache/resolved-$1 ]]
}

# Makes current-FLAVOUR name the kernel that apt resolves to now. To be called under the lock.
update_kernel() {
	local flavour=$1 new now
	rm -rf "$cache"/new.* # of a testbed that was killed
	new=$(mktemp -d "$cache/new.XXXXXX")
	# shellcheck disable=SC2064 # the value of now
	trap "rm -rf '$new'" EXIT
	mkdir -p "$new/debs" "$cache/kernels"
	now=$(mktemp "$new/now.XXXXXX")
	if fetch_kernel "$flavour" "$new/debs"; then
		if [[ ! -d $cache/$ret_dir ]]; then
			unpack_kernel "$new/kernel" "$new/debs"
			mv -T "$new/kernel" "$cache/$ret_dir"
		fi
		ln -sfnT "$ret_dir" "$cache/current-$flavour"
		touch -r "$now" "$cache/resolved-$flavour"
		prune_kernels
	elif [[ -d $cache/current-$flavour ]]; then
		say "no newer '$flavour' kernel to be had; going on with $(readlink "$cache/current-$flavour")"
	else
		die "no '$flavour' kernel: apt knows no package, or it could not be downloaded"
	fi
}

# Waits for others that prepare kernels, then looks again. Ends the script on failure.
ensure_kernel() {
	local flavour=$1
	[[ $flavour =~ ^(cloud|generic|new)$ ]] || die "unknown kernel '$flavour': cloud, generic or new"
	mkdir -p "$cache"
	! kernel_is_current "$flavour" || return 0
	(
		flock -w 900 9 || die "another testbed has held $cache/lock for 15 minutes"
		kernel_is_current "$flavour" || update_kernel "$flavour"
	) 9>"$cache/lock"
}

# Sets ret_kernel to a kernel's directory and holds it against prune_kernels, as long as this
# process or one of its children lives.
hold_kernel() {
	local flavour=$1 fd
	ensure_kernel "$flavour"
	while :; do
		ret_kernel=$(readlink -f "$cache/current-$flavour")
		{ exec {fd}<"$ret_kernel"; } 2>/dev/null || continue # pruned since: the link has moved
		flock -s "$fd"
		[[ ! -d $ret_kernel/tree ]] || return 0
		exec {fd}<&-
	done
}
