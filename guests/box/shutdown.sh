#!/bin/sh
# shutdown(8) as Vagrant calls it (`shutdown -h now`), which busybox lacks. A second later, so that
# who asked over SSH has the answer first: `vagrant halt` waits for it for ever.
action=poweroff
for word in "$@"; do
	[ "$word" = -r ] && action=reboot
done
(
	sleep 1
	"/bin/$action"
) </dev/null >/dev/null 2>&1 &
