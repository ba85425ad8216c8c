#!/bin/sh
# The same guests by virsh, from the same directory of definitions as plain.py: plain.sh up|down DIRECTORY URI
set -eu
here=$(dirname "$0") directory=$2
export LIBVIRT_DEFAULT_URI="$3"
v() { virsh -q "$@" >/dev/null; }
name() { sed -n 's|.*<name>\(.*\)</name>.*|\1|p' "$1" | head -n 1; }
cd "$directory"
case $1 in
up)
    for file in ???-pool-*.xml; do
        v pool-define "$file" && v pool-build "$(name "$file")" && v pool-start "$(name "$file")"
    done
    for file in ???-volume-*.xml; do
        pool=$(cat "${file%.xml}.pool")
        v vol-create "$pool" "$file" && v vol-upload --pool "$pool" "$(name "$file")" "${file%.xml}.img"
    done
    for file in ???-filter-*.xml; do v nwfilter-define "$file"; done
    for file in ???-network-*.xml; do v net-define "$file" && v net-start "$(name "$file")"; done
    # `virsh create` would make a guest that is gone with its end; eight at a time, as in plain.py
    for file in ???-domain-*.xml; do echo "$file $(name "$file")"; done |
        xargs -P 8 -L 1 sh -c 'virsh -q define "$0" >/dev/null && virsh -q start "$1" >/dev/null'
    # virsh cannot talk to a guest's agent
    exec "$PYTHON" "$here/plain.py" wait "$directory" "$LIBVIRT_DEFAULT_URI" ;;
down)
    for guest in $(virsh -q list --all --name); do v destroy "$guest"; v undefine "$guest"; done
    for network in $(virsh -q net-list --all --name); do v net-destroy "$network"; v net-undefine "$network"; done
    for pool in $(virsh -q pool-list --all --name); do
        v pool-refresh "$pool"
        virsh -q vol-list "$pool" | while read -r volume _; do v vol-delete --pool "$pool" "$volume"; done
        v pool-destroy "$pool" && v pool-undefine "$pool"
    done
    for file in $(ls -r ./???-filter-*.xml); do v nwfilter-undefine "$(sed -n 's|.*<uuid>\(.*\)</uuid>.*|\1|p' "$file")"; done ;;
esac
