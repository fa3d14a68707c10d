"""A Linux that lets nobody in until it was typed on its console; its disk keeps what was set up.

Its boot loader waits 5 s for a line, on the serial line and on the screen. Words of that line
choose a terminal (`terminal=ttyS0`, `terminal=tty1`) and what asks for a name there (`asks=…`):
busybox's getty, or a script that misbehaves.
"""

from pathlib import Path

import build
import disk

from harness.deadline import Deadline
from harness.machine.places import Places
from harness.providers.packages.debian import Debian
from harness.providers.qemu import images, initramfs
from harness.providers.qemu.cpio import DIRECTORY, FILE, PRIVATE, PROGRAM, CpioEntry, archive
from harness.providers.qemu.initramfs import Userland

SECONDS = 250.0

LOADER = """\
SERIAL 0 115200
PROMPT 1
TIMEOUT 50
DEFAULT linux
LABEL linux
  LINUX vmlinuz
  INITRD initrd
  APPEND panic=-1 console=tty0 console=ttyS0
"""

INIT = r"""#!/bin/busybox sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /tmp
hostname typed
while read -r module; do insmod "/modules/$module"; done </modules/order
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
# What was set up before an orderly halt, from between the boot record and the first partition.
dd if=/dev/vda bs=64k skip=1 count=15 2>/dev/null | tar x -C / 2>/dev/null
[ -e /etc/dropbear/on ] && sh /etc/dropbear/on
exec /bin/busybox init
"""

INITTAB = """\
::respawn:/bin/terminal
::shutdown:/bin/halting
::ctrlaltdel:/bin/busybox reboot
"""

HALTING = """#!/bin/sh
tar cf /tmp/kept -C / root/.ssh etc/dropbear
dd if=/tmp/kept of=/dev/vda bs=64k seek=1 conv=notrunc 2>/dev/null
sync
"""

TERMINAL = r"""#!/bin/sh
terminal=ttyS0 asks=getty
for word in $(cat /proc/cmdline); do
	case $word in
	terminal=* | asks=*) eval "$word" ;;
	esac
done
if [ "$asks" = getty ]; then
	exec getty -L 115200 "$terminal" linux
fi
exec sh -c '. /etc/asks; '"$asks" <"/dev/$terminal" >"/dev/$terminal" 2>&1
"""

ASKS = r"""
name() { printf '\r\nlogin: '; read -r given; }
shell() { exec login -f root; }

# A kernel's message in the middle of the prompt.
interrupted() {
	printf '\r\nlo'
	echo '<1>a message in the middle' >/dev/kmsg
	sleep 1
	printf 'gin: '
	read -r given
	shell
}

# The getty was started anew: the first name goes nowhere.
twice() { name; name; shell; }

always() { while :; do name; done; }

# One character is lost, and each takes its time.
lossy() {
	printf '\r\nlogin: '
	stty raw -echo
	count=0 given=
	while :; do
		char=$(dd bs=1 count=1 2>/dev/null | od -An -tx1)
		count=$((count + 1))
		[ $count = 2 ] && continue
		case $char in
		*0d) break ;;
		*15) printf '\r\nlogin: '; given= ;;
		*) given="$given$char"; printf "\\x${char# }" ;;
		esac
	done
	stty sane
	[ "$given" = ' 72 6f 6f 74' ] || { printf '\r\nLogin incorrect\r\n'; return; }
	shell
}

incorrect() { name; printf '\r\nLogin incorrect\r\n'; sleep 1; incorrect; }

changed() { name; printf '\r\nYou must choose one.\r\nNew password: '; read -r given; }

silent() { sleep 600; }

flood() { name; while :; do printf '\033[31m\033]0;title\007noise %0200d\033[0m\r\n' 1; done; }
"""

PROFILE = r"""
PS1='\033[1;32m\h\033[0m# '
cd
"""
"""A prompt with colours, as many images have one."""

FILES = {
    "etc/passwd": (FILE, "root::0:0:root:/root:/bin/sh\n"),
    "etc/group": (FILE, "root:x:0:\n"),
    "etc/inittab": (FILE, INITTAB),
    "etc/profile": (FILE, PROFILE),
    "etc/asks": (FILE, ASKS),
    "bin/terminal": (PROGRAM, TERMINAL),
    "bin/halting": (PROGRAM, HALTING),
}


def make(folder: Path, places: Places) -> Path:
    """Write the disk into a folder; raise `HarnessError` if a package cannot be had."""
    deadline = Deadline(SECONDS)
    debian = Debian(places)
    packages = debian.kernel(build.KERNEL, deadline)
    kernel, _ = images.image_in(packages)
    roots = tuple(package.root for package in debian.userland(deadline))
    entries = [*initramfs.system(Userland(roots, INIT.encode(), build.PROGRAMS))]
    entries += initramfs.drivers([package.root for package in packages], build.MODULES)
    entries += [CpioEntry("root", PRIVATE), CpioEntry("etc/dropbear", DIRECTORY)]
    entries += [CpioEntry(path, mode, text.encode()) for path, (mode, text) in FILES.items()]
    tools = build.find_tools(folder / "tools", debian, deadline)
    return disk.make(folder, kernel.read_bytes(), archive(entries), tools, deadline, LOADER)
