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

# In the background: by the time the network is there, so is dropbear.
{
	ip link set lo up
	while read -r module; do
		insmod "/modules/$module"
	done </modules/order
	# No DHCP: this is the address that QEMU's user network forwards to.
	ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
	echo 'reuseport-matrix: the network is up' >/dev/console
	ip route add default via 10.0.2.2
} &

# As process 1 it also reaps orphans; should it end, the kernel panics, and QEMU ends with that.
# -s no passwords, -j -k no forwarding; a large window (-W), or an agent's upload waits for acks.
exec /usr/sbin/dropbear -F -E -s -j -k -m -W 1048576 -r /etc/dropbear/host_key
