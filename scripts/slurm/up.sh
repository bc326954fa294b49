#!/usr/bin/env bash
# A real Slurm of two nodes on this machine: Debian's packages, as root. Then `SLURM_CONF=DIR/slurm.conf srun -n 4 -N 2 …`.
# usage: up.sh DIR      (DIR: for its files; down.sh DIR stops it)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: up.sh DIR}
mkdir -p "$dir"/{state,spool,log}
dir=$(cd "$dir" && pwd)
if ! command -v slurmctld > /dev/null || ! command -v munged > /dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm munge > /dev/null
fi
sed "s#@DIR@#$dir#g; s#@HOST@#$(hostname)#g" "$here/slurm.conf.in" > "$dir/slurm.conf"
export SLURM_CONF=$dir/slurm.conf
if ! pgrep -x munged > /dev/null; then
  mkdir -p /run/munge
  chown munge /run/munge
  runuser -u munge -- /usr/sbin/munged
fi
slurmctld -i
for node in n1 n2; do slurmd -N $node; done
for _ in $(seq 60); do
  [ "$(sinfo --noheader --format %t -n n1,n2 | sort -u)" = idle ] && exit
  sleep 1
done
sinfo
cat "$dir"/log/*
exit 1
