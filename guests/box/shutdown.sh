#!/bin/sh
# shutdown(8), which busybox lacks, as Vagrant calls it (`shutdown -h now`). It waits a second, so
# that the answer goes out over SSH first: without an answer `vagrant halt` would wait for ever.
action=poweroff
for word in "$@"; do
	[ "$word" = -r ] && action=reboot
done
(
	sleep 1
	"/bin/$action"
) </dev/null >/dev/null 2>&1 &
