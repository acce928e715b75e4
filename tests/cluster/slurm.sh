#!/usr/bin/env bash
# A small Slurm on this machine, as root: four nodes, two partitions, no systemd, cgroups or database.
#
#   tests/cluster/slurm.sh start FOLDER     FOLDER gets the configuration, state and logs
#   tests/cluster/slurm.sh stop FOLDER
#
# Needs Debian's or Ubuntu's packages slurm-wlm and munge. After "start":
#
#   PATH=FOLDER/bin:$PATH sinfo
#
# since the job steps of Snakemake's plugin do not pass SLURM_CONF on.
# Several slurmd on one host need --enable-multiple-slurmd, which Debian's are built with: slurmd -N.
set -eu
command=${1:?start or stop}
folder=$(mkdir -p "${2:?folder}" && cd "$2" && pwd)
export SLURM_CONF=$folder/slurm.conf
NODES="n1 n2 n3 n4"

stop() {
  local pid
  if [ -e "$folder/slurmctld.pid" ]; then # no job is to outlive its Slurm
    "$folder/bin/scancel" --user "$(id -un)" || true
    for _ in $(seq 50); do [ -n "$("$folder/bin/squeue" --noheader)" ] && sleep 0.2; done
  fi
  for name in slurmctld $NODES munged; do
    pid=$(cat "$folder/$name.pid" 2>/dev/null) || continue
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null && sleep 0.1; done
    rm -f "$folder/$name.pid"
  done
}

start() {
  local host port number=0
  for program in munged slurmctld slurmd; do
    command -v $program >/dev/null || {
      echo "slurm.sh: $program is not installed: apt-get install slurm-wlm munge" >&2
      exit 2
    }
  done
  [ "$(id -u)" = 0 ] || { echo "slurm.sh: slurmd needs root" >&2 && exit 2; }
  host=$(hostname -s)
  port=$((20000 + $$ % 20000))
  mkdir -p "$folder/state" "$folder/munge"
  chmod 755 "$folder"
  [ -e "$folder/munge/key" ] || head -c 1024 /dev/urandom >"$folder/munge/key"
  chmod 700 "$folder/munge"
  chmod 400 "$folder/munge/key"
  # relaxed: the folders above belong to whoever runs the tests
  munged --force --key-file="$folder/munge/key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" --seed-file="$folder/munge/seed"
  cat >"$folder/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CryptoType=crypto/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool.%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,defer_batch,batch_sched_delay=0
MpiDefault=none
# as many cores and as much memory as is written below, whatever this machine has
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=20
MinJobAge=600
KillWait=10
END
  for node in $NODES; do
    number=$((number + 1))
    echo "NodeName=$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + number)) CPUs=1 RealMemory=64000" \
      >>"$folder/slurm.conf"
    mkdir -p "$folder/spool.$node"
  done
  cat >>"$folder/slurm.conf" <<END
PartitionName=short Nodes=n[1-3] Default=YES MaxTime=240 State=UP
PartitionName=long Nodes=n[3-4] MaxTime=INFINITE State=UP
END
  mkdir -p "$folder/bin"
  for program in sbatch scancel scontrol sinfo squeue srun; do
    printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' "$SLURM_CONF" "$(PATH=/usr/local/bin:/usr/bin:/bin command -v $program)" >"$folder/bin/$program"
    chmod +x "$folder/bin/$program"
  done
  slurmctld 2>/dev/null
  for node in $NODES; do slurmd -N "$node"; done
  for _ in $(seq 100); do
    [ "$(sinfo -h -N -o '%N %T' 2>/dev/null | sort -u | grep -c ' idle$')" = 4 ] && return
    sleep 0.2
  done
  echo "slurm.sh: the nodes did not come up; see $folder/*.log" >&2
  exit 1
}

case "$command" in
  start) stop && start ;;
  stop) stop ;;
  *) echo "slurm.sh: start or stop" >&2 && exit 2 ;;
esac
