#!/bin/busybox sh
# The first process of the box. It loads drivers, reads a seed if one is attached, sets up the
# network by DHCP, and then becomes busybox's init, which keeps dropbear running and can halt. It
# changes nothing that we measure (sysctls, IPv6, limits). The root file system is the initramfs, so
# no boot leaves anything for the next.

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /run/seed /var/log
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /tmp
hostname linux-box
keys=/root/.ssh
ip link set lo up

# insmod returns once the driver has probed its devices (kernel/module/main.c,
# async_synchronize_full).
while read -r module; do
	insmod "/modules/$module"
done </modules/order

# In the background, so that we read the seed meanwhile. udhcpc keeps running to renew the lease.
{
	ip link set eth0 up
	udhcpc -i eth0 -s /etc/udhcpc.sh -t 30 -T 1 -b >/dev/console 2>&1
} &

# The part of NoCloud that a box needs: login keys and the host key, from the user-data of a disk or
# CD labelled cidata (cloudinit.readthedocs.io, "NoCloud"). The key of one user may log in as any
# user, as this box is for tests.
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

# All files of the initramfs belong to root, so change the owner here.
mkdir -p /home/vagrant
cp -r "$keys" /home/vagrant/
chown -R vagrant:vagrant /home/vagrant
chmod 755 /home/vagrant

exec /bin/busybox init
