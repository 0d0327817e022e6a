#!/usr/bin/env bash
# A real Slurm of one node for tests: Debian's packages, as root, without systemd or cgroups.
#   slurm_sandbox.sh install | start | stop | status      state in $SLURM_SANDBOX (default: a folder under TMPDIR)
# slurmdbd and MariaDB run too: without accounting, submitit would wait for a canceled job for ever.
set -euo pipefail

root=${SLURM_SANDBOX:-${TMPDIR:-/tmp}/slurm-sandbox}
host=$(hostname -s)
export SLURM_CONF=$root/slurm.conf

wait_for() { # a command that succeeds within 60 seconds
  local end=$((SECONDS + 60))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || { echo "gave up waiting for: $*" >&2; return 1; }
    sleep 0.1
  done
}

install() {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    slurm-wlm slurmdbd munge mariadb-server >/dev/null
}

start_munge() {
  [[ -s $root/munge.key ]] || dd if=/dev/urandom of="$root/munge.key" bs=1024 count=1 status=none
  chmod 400 "$root/munge.key"
  munged --force --key-file="$root/munge.key" --socket="$root/run/munge.socket" --pid-file="$root/run/munged.pid" \
    --log-file="$root/log/munged.log" --seed-file="$root/run/munged.seed"
}

start_accounting() {
  local database=(--no-defaults --socket="$root/run/mysql.sock")
  [[ -d $root/mysql/mysql ]] ||
    mariadb-install-db --no-defaults --user=root --datadir="$root/mysql" >"$root/log/mariadb-install.log" 2>&1
  setsid mariadbd "${database[@]}" --user=root --datadir="$root/mysql" --pid-file="$root/run/mariadbd.pid" \
    --skip-networking --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 >"$root/log/mariadbd.log" 2>&1 </dev/null &
  wait_for mariadb "${database[@]}" -e 'select 1'
  cat >"$root/slurmdbd.conf" <<END
AuthType=auth/munge
AuthInfo=socket=$root/run/munge.socket
DbdHost=localhost
DbdPort=16819
SlurmUser=root
PidFile=$root/run/slurmdbd.pid
LogFile=$root/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
END
  chmod 600 "$root/slurmdbd.conf"
  MYSQL_UNIX_PORT=$root/run/mysql.sock SLURM_CONF=$root/slurmdbd.conf slurmdbd
  wait_for bash -c 'echo >/dev/tcp/127.0.0.1/16819'
}

write_config() {
  local cpus memory
  cpus=$(nproc)
  memory=$(($(awk '/MemTotal/ {print $2}' /proc/meminfo) / 1024 - 1024))
  cat >"$SLURM_CONF" <<END
ClusterName=sandbox
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$root/run/munge.socket
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=$((memory / cpus))
SwitchType=switch/none
ReturnToService=2
KillWait=5
JobRequeue=1
SlurmctldPidFile=$root/run/slurmctld.pid
SlurmdPidFile=$root/run/slurmd.pid
SlurmctldLogFile=$root/log/slurmctld.log
SlurmdLogFile=$root/log/slurmd.log
StateSaveLocation=$root/state
SlurmdSpoolDir=$root/spool
SlurmctldPort=16817
SlurmdPort=16818
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=16819
AccountingStoragePass=$root/run/munge.socket
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=debug Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
}

start() {
  trap stop EXIT # half a sandbox would be in the way of the next
  mkdir -p "$root"/{state,spool,log,run}
  chmod 755 "$root" "$root/run"
  start_munge
  write_config
  start_accounting
  wait_for sacctmgr -n list cluster
  sacctmgr -i add cluster sandbox >/dev/null 2>&1 || true # it is there after the first start
  slurmctld -f "$SLURM_CONF"
  slurmd -f "$SLURM_CONF"
  wait_for bash -c "sinfo -h -o %T | grep -qE '^(idle|mixed|allocated)$'"
  trap - EXIT
  echo "export SLURM_CONF=$SLURM_CONF"
}

stop() {
  local pid
  for daemon in slurmd slurmctld slurmdbd mariadbd munged; do
    pid=$(cat "$root/run/$daemon.pid" 2>/dev/null) || continue
    kill "$pid" 2>/dev/null || continue
    timeout 15 tail --pid="$pid" -f /dev/null || kill -9 "$pid" 2>/dev/null || true
  done
}

case ${1:-} in
  install | start | stop) "$1" ;;
  status) sinfo && squeue ;;
  *) sed -n '2,4p' "$0" && exit 2 ;;
esac
