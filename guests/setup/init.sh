#!/bin/busybox sh
# The first process of a Linux guest with our initramfs. It makes the guest reachable by SSH as fast
# as it can, and changes nothing that we measure (sysctls, IPv6, limits).
# This shell runs busybox's own applets without a search in $PATH.

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /tmp

ip link set lo up
while read -r module; do
	insmod "/modules/$module"
done </modules/order
# The disk with the servers of a run, if it asks for any (harness/providers/qemu/server_disk.py).
for disk in /sys/block/vd*; do
	[ -e "$disk/serial" ] || continue
	read -r serial <"$disk/serial" # which ends without a newline, so this fails
	if [ "$serial" = servers ]; then
		mkdir -p /servers
		mount -t ext4 -o ro "/dev/${disk##*/}" /servers
	fi
done
# No DHCP: this is the address that QEMU's user network forwards to.
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
ip route add default via 10.0.2.2

# The harness sends the login key over the second serial line, with the time and a seed. Up to here
# every boot is the same: a guest that waits here can be saved and resumed, as it has not yet used a
# secret or drawn one for its network. An initramfs that already has its keys does not ask.
if [ ! -e /etc/dropbear/host_key ]; then
	umask 077
	mkdir -p root/.ssh
	exec 3<>/dev/ttyS1
	stty -echo <&3
	echo ready >&3
	read -r now seed host authorized <&3
	date -s "@$now" >/dev/null
	echo "$seed" | base64 -d | /bin/reseed >/dev/urandom
	renewed=$?
	# Linux 3.18 to 4.7 keep the seed from getrandom(2) for a minute after boot, unless they may
	# draw from it more often (random.c, xfer_secondary_pool()). One read then passes it on.
	interval=/proc/sys/kernel/random/urandom_min_reseed_secs
	if [ "$renewed" != 0 ] && [ -w "$interval" ]; then
		read -r seconds <"$interval"
		echo 0 >"$interval"
		dd if=/dev/urandom of=/dev/null bs=64 count=1 2>/dev/null
		echo "$seconds" >"$interval"
	fi
	echo "$host" | base64 -d >/etc/dropbear/host_key
	echo "$authorized" >root/.ssh/authorized_keys
	echo "up $renewed" >&3
	exec 3>&-
	umask 022
fi
echo 'reuseport-matrix: the network is up' >/dev/console

# As process 1 dropbear also reaps orphans. If it ends, the kernel panics, and then QEMU ends.
# -s no passwords, -j -k no forwarding, -W a large window: else the agent's upload waits for acks.
exec /usr/sbin/dropbear -F -E -s -j -k -m -W 1048576 -r /etc/dropbear/host_key
