# An old server, a new one beside it, the old one retires: who answers in each phase.
port=$(./server port)
./server serve "$port" old & old=$!
until ./server ask "$port" 1 | grep -q 'old 1'; do :; done
echo "before: $(./server ask "$port" 100)"
./server serve "$port" new & new=$!
sleep 1
echo "both: $(./server ask "$port" 100)"
kill -TERM $old; wait $old
echo "after: $(./server ask "$port" 100)"
kill -TERM $new; wait $new
