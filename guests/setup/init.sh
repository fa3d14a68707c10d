#!/bin/busybox sh
# The first process of a Linux guest that is booted from our initramfs: makes it reachable by SSH
# as fast as it can, and changes nothing of what is measured (sysctls, IPv6, limits).
# busybox runs its own applets from this shell without a search in $PATH.

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
# No DHCP: this is the address that QEMU's user network forwards to.
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
ip route add default via 10.0.2.2

# Who may log in is said on the second serial line, with the time and a seed. Up to here every boot
# is the same: a guest that waits here can be kept and brought back, and has neither used a secret
# nor drawn one for its network yet. An initramfs that brings its keys along does not ask.
if [ ! -e /etc/dropbear/host_key ]; then
	umask 077
	mkdir -p root/.ssh
	exec 3<>/dev/ttyS1
	stty -echo <&3
	echo ready >&3
	read -r now seed host authorized <&3
	date -s "@$now" >/dev/null
	echo "$seed" >/dev/urandom
	/bin/reseed </dev/urandom
	renewed=$?
	echo "$host" | base64 -d >/etc/dropbear/host_key
	echo "$authorized" >root/.ssh/authorized_keys
	echo "up $renewed" >&3
	exec 3>&-
	umask 022
fi
echo 'reuseport-matrix: the network is up' >/dev/console

# As process 1 it also reaps orphans; should it end, the kernel panics, and QEMU ends with that.
# -s no passwords, -j -k no forwarding; a large window (-W), or an agent's upload waits for acks.
exec /usr/sbin/dropbear -F -E -s -j -k -m -W 1048576 -r /etc/dropbear/host_key
