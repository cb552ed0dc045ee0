#!/bin/sh
# Installs swarm from the tarball of `npm run package`, or upgrades it in place (every task goes on).
#
#   sudo deploy/install.sh swarm-0.1.0-linux.tar.gz                  install and start the daemon
#   sudo deploy/install.sh swarm-0.1.0-linux.tar.gz init [OPTION...]  ... and make a cluster
#   sudo deploy/install.sh swarm-0.1.0-linux.tar.gz join --token @FILE HOST:2377
#   sudo deploy/install.sh --uninstall [--purge]                     take it away; --purge: its state too
set -eu

OPT=/opt/swarm
LINK=/usr/local/bin/swarm
UNIT=/etc/systemd/system/swarm.service
STATE=/var/lib/swarm

say() { printf '%s\n' "$*"; }
fail() {
  printf 'Error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '%s\n' "$2" >&2
  exit 1
}
has_systemd() { [ -d /run/systemd/system ]; }
is_ours() { [ "$(readlink "$LINK" 2>/dev/null || true)" = "$OPT/swarm" ]; }

find_node() {
  node=$(command -v node || true)
  [ -n "$node" ] || fail 'Node.js is missing.' 'Install Node.js 20.19 or newer, then run this again.'
  node=$(readlink -f "$node")
  "$node" -e 'const [a,b]=process.versions.node.split(".").map(Number);process.exit(a>20||(a===20&&b>=19)?0:1)' ||
    fail "Node.js $("$node" -v) is too old." 'Install Node.js 20.19 or newer, then run this again.'
  case $node in
    /home/* | /root/*) say "WARNING: Node.js is in a home directory ($node): swarm stops working when it goes." ;;
  esac
}

make_group() {
  getent group swarm >/dev/null && return
  say 'Making the group swarm: whoever is in it administers the cluster, as root on every node.'
  groupadd --system swarm
}

put_files() {
  tarball=$1
  [ -r "$tarball" ] || fail "$tarball cannot be read." 'npm run package makes it.'
  rm -rf "$OPT.new"
  mkdir -p "$OPT.new"
  tar -xzf "$tarball" -C "$OPT.new" --strip-components=1 || fail "$tarball is no tarball of swarm."
  [ -f "$OPT.new/dist/bundle/swarmd.mjs" ] || fail "$tarball is no tarball of swarm."
  ln -s "$node" "$OPT.new/node"
  rm -rf "$OPT.old"
  [ ! -d "$OPT" ] || mv "$OPT" "$OPT.old"
  mv "$OPT.new" "$OPT"
  rm -rf "$OPT.old"
  say "Installed $("$OPT/swarm" --version) in $OPT."
}

link_command() {
  other=$(command -v swarm || true)
  if is_ours || { [ -z "$other" ] && [ ! -e "$LINK" ] && [ ! -h "$LINK" ]; }; then
    ln -sfn "$OPT/swarm" "$LINK"
  else
    say "WARNING: another program is called swarm (${other:-$LINK}): it stays. Ours is $OPT/swarm."
  fi
}

put_unit() {
  if ! has_systemd; then
    say 'There is no systemd here: swarm init and swarm join start the daemon themselves.'
    if "$OPT/swarm" --socket /run/swarm/swarm.sock info >/dev/null 2>&1; then
      say 'The daemon that runs is of the version before: swarm stop, then swarm start (tasks go on).'
    fi
    return
  fi
  cp "$OPT/deploy/swarm.service" "$UNIT"
  systemctl daemon-reload
  systemctl enable --quiet swarm.service
  # Restarted, not stopped and started: the node stays up in the cluster, and its tasks go on.
  systemctl restart swarm.service
  say 'The daemon runs as swarm.service (log: journalctl -u swarm).'
}

install_swarm() {
  find_node
  make_group
  put_files "$1"
  shift
  link_command
  put_unit
  if [ $# -gt 0 ]; then
    case $1 in
      init | join) exec "$OPT/swarm" "$@" ;;
      *) fail "After the tarball comes init or join, not $1." ;;
    esac
  fi
  say 'Next: swarm init makes a cluster, swarm join joins one.'
}

uninstall_swarm() {
  if [ -x "$OPT/swarm" ] && "$OPT/swarm" --socket /run/swarm/swarm.sock info >/dev/null 2>&1; then
    say 'Stopping the daemon and the tasks of this node.'
    "$OPT/swarm" --socket /run/swarm/swarm.sock stop --with-tasks
  fi
  if has_systemd && [ -f "$UNIT" ]; then
    systemctl disable --quiet --now swarm.service || true
  fi
  rm -f "$UNIT"
  ! has_systemd || systemctl daemon-reload
  ! is_ours || rm -f "$LINK"
  rm -rf "$OPT" "$OPT.new" "$OPT.old" /run/swarm
  if [ "${1:-}" = --purge ]; then
    rm -rf "$STATE"
    ! getent group swarm >/dev/null || groupdel swarm
    say 'swarm is gone, with its state.'
  elif [ -d "$STATE" ]; then
    say "swarm is gone. Its state is still in $STATE (--uninstall --purge deletes it too)."
  else
    ! getent group swarm >/dev/null || groupdel swarm
    say 'swarm is gone.'
  fi
}

case ${1:-} in
  '' | -h | --help)
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac
[ "$(uname -s)" = Linux ] || fail 'swarm runs on Linux.'
[ "$(id -u)" = 0 ] || fail 'Installing needs root.' "Run: sudo $0 $*"
case $1 in
  --uninstall) uninstall_swarm "${2:-}" ;;
  -*) fail "There is no option $1." "See $0 --help." ;;
  *) install_swarm "$@" ;;
esac
