#!/bin/busybox sh
# The first process of the box: drivers, a seed if there is one, the network by DHCP, then busybox's
# init, which keeps dropbear running and knows how to halt. Nothing of what is measured (sysctls,
# IPv6, limits) is changed. The root file system is the initramfs: each boot begins afresh.

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /run/seed /var/log
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /tmp
hostname linux-box
keys=/root/.ssh
ip link set lo up

# Each returns after its devices were looked for (async_synchronize_full, kernel/module/main.c).
while read -r module; do
	insmod "/modules/$module"
done </modules/order

# In the background: the lease comes while the seed is read. udhcpc stays, to renew it.
{
	ip link set eth0 up
	udhcpc -i eth0 -s /etc/udhcpc.sh -t 30 -T 1 -b >/dev/console 2>&1
} &

# NoCloud, as far as a box needs it: keys that may log in, and the host's own key, from the user-data
# of a disk or CD labelled cidata (cloudinit.readthedocs.io, "NoCloud"). A key of any user's may log
# in as any: it is a box for tests.
# busybox's findfs does not look at CDs: the label is at byte 32808 (ECMA-119, 8.4.7).
seed=
for device in /dev/sr? /dev/vd? /dev/sd?; do
	[ -b "$device" ] || continue
	label=$(dd if="$device" bs=8 skip=4101 count=4 2>/dev/null)
	case "$label" in
	[Cc][Ii][Dd][Aa][Tt][Aa]*) seed=$device ;;
	esac
done
if [ -n "$seed" ] && mount -o ro -t iso9660 "$seed" /run/seed; then
	data=/run/seed/user-data
	sed -n "s/^ *- *['\"]\{0,1\}\(\(ssh\|ecdsa\)-[^'\"]*\).*/\1/p" "$data" >>"$keys/authorized_keys"
	sed -n '/ed25519_private: *|/,/END OPENSSH/{s/^ *//;/^ed25519_private/d;p;}' "$data" >/run/pem
	if [ -s /run/pem ] && dropbearconvert openssh dropbear /run/pem /run/key 2>/dev/null; then
		mv /run/key /etc/dropbear/host_key
	fi
	rm -f /run/pem
	umount /run/seed
	echo "linux-box: seed taken from $seed" >/dev/console
fi

# An archive's files all belong to root.
mkdir -p /home/vagrant
cp -r "$keys" /home/vagrant/
chown -R vagrant:vagrant /home/vagrant
chmod 755 /home/vagrant

exec /bin/busybox init
