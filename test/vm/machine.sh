# What a whole machine with systemd, pure cgroup v2 and AppArmor is asked, at each of its three starts.
# Every line that begins with "ok" or "FAILED" is a verdict; lines indented below one are its reason.
PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HOME=/root
export PATH HOME
cd /check || exit 1
ADDRESS=192.168.99.1
GROUPS_OF_TASKS=/sys/fs/cgroup/swarm.slice

now() { cut -d. -f1 /proc/uptime; }
# check SECONDS NAME COMMANDS: until they succeed.
check() {
  end=$(($(now) + $1))
  until (eval "$3") >/run/last 2>&1; do
    if [ "$(now)" -ge "$end" ]; then
      echo "FAILED $2"
      { tail -n 15 /run/last; journalctl -u swarm -o cat -n 12; } | cut -c 1-400 | sed 's/^/    /'
      return
    fi
    sleep 1
  done
  echo "ok $2"
}
# is WANTED GOT
is() { [ "$1" = "$2" ] || { echo "wanted '$1', got '$2'"; return 1; }; }
answers() { is hello "$(curl -sS -m 10 "http://$ADDRESS:8080/")"; }
# The processes that tasks of the service are, one a line.
pids() { pgrep -f "^/bin/busybox httpd -f -p 80 -h /srv/$1" | sort; }
# group SERVICE: the control group of its first task.
group() { echo "/sys/fs/cgroup$(sed 's/^0:://' "/proc/$(pids "$1" | head -n 1)/cgroup")"; }
value() { cat "$(group "$1")/$2"; }
profile() { cat "/proc/$(pids "$1" | head -n 1)/attr/current"; }
serve() {
  name=$1
  shift
  swarm service create -d -q --name "$name" "$@" test/busybox:1 \
    /bin/sh -c "mkdir -p /srv/$name; echo hello >/srv/$name/index.html; exec /bin/busybox httpd -f -p 80 -h /srv/$name"
}
replicas() { is "$1" "$(pids web | wc -l)"; }

first() {
  check 1 'the machine has cgroup v2 alone' 'is cgroup2fs "$(stat -fc %T /sys/fs/cgroup)"'
  check 1 'the machine has AppArmor' 'grep -q apparmor /sys/kernel/security/lsm'
  check 60 'a profile is loaded' 'apparmor_parser -r /etc/apparmor.d/mine'
  check 120 'containerd answers' 'ctr version'
  mkdir -p /opt/unpacked && tar -xzf swarm.tar.gz -C /opt/unpacked --strip-components=1
  check 300 'the package is installed and its unit started' 'sh /opt/unpacked/deploy/install.sh swarm.tar.gz'
  check 5 'systemd says that it is active' 'is active "$(systemctl is-active swarm)"'
  check 1 'swarm init' "swarm init --advertise-addr $ADDRESS --allow-process --allow-host-access"
  check 120 'the node is ready' 'swarm node ls | grep -q Ready'
  check 5 'the log is in the journal' 'journalctl -u swarm -o cat | grep -q .'
  check 60 'an image without a registry' 'swarm image load busybox.tar'
  check 60 'the node carries networks' 'swarm node inspect self | tee /run/node | grep -q overlay'
  check 5 'WireGuard is the kernel'"'"'s' 'swarm node inspect self --pretty | grep -i encryption.*kernel ||
    swarm node inspect self | grep -A2 encryption | grep kernel'
  swarm network create front
  swarm network create -o encrypted secret
  serve web --replicas 2 --network front -p 8080:80 --limit-memory 64m --limit-cpu 0.5 \
    --cpu-shares 512 --limit-pids 50
  check 240 'two containers run' 'replicas 2'
  check 120 'the published port answers' answers
  limits
  profiles
  serve hidden --network secret
  check 180 'a task on an encrypted network runs' 'pids hidden | grep -q .'
  keeps_tasks
}

limits() {
  check 5 'a scope of systemd, in the slice of the node' 'group web | grep -q "/swarm.slice/swarm-[^/]*.slice/swarm-[^/]*.scope$"'
  check 20 'systemd-cgls shows it' 'systemd-cgls --no-pager /swarm.slice | grep -q "scope"'
  check 1 'memory.max' 'is 67108864 "$(value web memory.max)"'
  check 1 'memory.swap.max: none beyond the limit' 'is 0 "$(value web memory.swap.max)"'
  check 1 'cpu.max' 'is "50000 100000" "$(value web cpu.max)"'
  check 1 'cpu.weight of 512 shares' 'is 20 "$(value web cpu.weight)"'
  check 1 'pids.max' 'is 50 "$(value web pids.max)"'
  task=$(swarm service ps -q web | head -n 1)
  check 20 'devices of its own' "swarm exec $task head -c 1 /dev/zero"
  check 20 'no other device (eBPF)' \
    "! swarm exec $task busybox mknod /tmp-disk b 259 0 && ! swarm exec $task head -c 1 /tmp-disk"
  check 60 'stats' 'swarm stats --no-stream | tee /dev/stderr | grep -q "64 *Mi\?B"'
  swarm service create -d -q --name greedy --limit-memory 16m --restart-condition none \
    test/busybox:1 /bin/sh -c 'exec dd if=/dev/zero of=/dev/null bs=100M count=1'
  check 180 'memory that runs out is said' 'swarm service ps --no-trunc greedy | tee /dev/stderr | grep -qi "memory\|oom"'
  swarm service create -d -q --name program --process --user root --limit-memory 96m sleep 98765
  check 120 'a process has its limit' \
    'is 100663296 "$(cat /sys/fs/cgroup$(sed s/^0::// /proc/$(pgrep -f "^sleep 98765")/cgroup)/memory.max)"'
}

profiles() {
  check 5 'under the profile that the daemon loaded' 'is "swarm-default (enforce)" "$(profile web)"'
  check 20 'which lets it write to no switch of the kernel' \
    "! swarm exec $task sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward' && ! swarm exec $task sh -c 'echo c >/proc/sysrq-trigger'"
  serve free --security-opt apparmor=unconfined
  serve own --security-opt apparmor=mine
  serve strange --security-opt apparmor=nobody-loaded-it
  check 120 'unconfined where it is asked for' 'is unconfined "$(profile free)"'
  check 120 'under a profile of its own' 'is "mine (enforce)" "$(profile own)"'
  check 120 'a profile that nobody loaded is refused' \
    'swarm service ps --no-trunc strange | tee /dev/stderr | grep -q "nobody-loaded-it is not loaded"'
  swarm service rm free own strange greedy
}

# same NAME: the containers that were there before still are, and it works.
same() {
  check 180 "$1: the daemon answers" 'swarm node ls | grep -q Ready'
  check 5 "$1: the same containers run" 'is "$(cat /run/before)" "$(pids web)"'
  check 60 "$1: the published port answers" answers
}
keeps_tasks() {
  pids web >/run/before
  systemctl restart swarm
  same 'systemctl restart'
  kill -9 "$(systemctl show -p MainPID --value swarm)"
  same 'kill -9 of the daemon'
  systemctl stop swarm
  check 30 'systemctl stop: the unit has ended' 'is inactive "$(systemctl is-active swarm)"'
  check 5 'systemctl stop: tasks live on' 'is "$(cat /run/before)" "$(pids web)"'
  check 30 'systemctl stop: the published port answers' answers
  systemctl start swarm
  same 'systemctl start'
}

# restarted NAME: what holds after another start of the machine, without a command.
restarted() {
  check 300 "$1: the cluster is back" 'swarm node ls | grep -q Ready'
  check 300 "$1: two containers run" 'replicas 2'
  check 180 "$1: the published port answers" answers
  echo "    $(now) s after the kernel's start"
  check 60 "$1: names resolve" \
    'is hello "$(swarm exec $(swarm service ps -q --filter desired-state=running web | head -n 1) wget -qO- http://web/)"'
  check 5 "$1: under the profile of the daemon" 'is "swarm-default (enforce)" "$(profile web)"'
  check 120 "$1: the task on the encrypted network runs" 'pids hidden | grep -q .'
  check 60 "$1: one nftables table a family" 'is 2 "$(nft list tables | grep -c " swarm_")"'
  # web twice and hidden once.
  check 120 "$1: one network namespace a task" 'is 3 "$(ip netns list | grep -c ^swt-)"'
  check 60 "$1: one control group a task" 'is 3 "$(find $GROUPS_OF_TASKS -name "swarm-*.scope" | wc -l)"'
  check 60 "$1: one task of containerd each" \
    'is 3 "$(ctr -n "$(ctr ns ls -q | grep ^swarm-)" task ls -q | wc -l)"'
  check 60 "$1: one root file system mounted each" \
    'is 3 "$(grep -c "io.containerd.runtime.v2.task/swarm-.*/rootfs overlay\|io.containerd.runtime.v2.task/swarm-[^ ]*/rootfs " /proc/self/mountinfo)"'
  check 5 "$1: nothing failed in systemd" 'is "" "$(systemctl --failed --plain --no-legend)"'
}

count=$(($(cat starts 2>/dev/null || echo 0) + 1))
echo "$count" >starts
sync starts
echo "=== start $count"
case $count in
  1)
    first
    echo '=== reboot'
    systemctl reboot
    ;;
  2)
    restarted 'reboot'
    echo '=== pull the plug'
    ;;
  3)
    restarted 'unclean end'
    echo '=== done'
    systemctl poweroff
    ;;
esac
