# Set-up shared by scripts/demo and scripts/test: source it, then call `setup`.
# Everything it makes stays in this checkout (.venv, .provision) and in the user's cache; system packages come from apt.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
STATE=$ROOT/.provision
export PULUMI_HOME=$STATE/pulumi
export PATH=$ROOT/.venv/bin:$PATH

PACKAGES=(
  python3-venv python3-dev                                                     # the virtual environment
  gcc libc6-dev pkg-config libvirt-dev                                         # libvirt-python and the guest's probe agent
  libvirt-daemon libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients libvirt-daemon-config-nwfilter
  qemu-system-x86 qemu-utils qemu-block-extra seabios ovmf ipxe-qemu           # the hypervisor
  dnsmasq-base iptables ebtables nftables iproute2 kmod                        # its networks and filters
  busybox-static lz4 dmidecode ca-certificates                                 # the micro guest
  openssh-client openssh-server netcat-openbsd                                 # tests of hypervisors reached by SSH
  mmdebstrap debian-archive-keyring e2fsprogs tar                              # the full Debian guest
  graphviz                                                                     # pictures of stacks as SVG
  mariadb-server-core mariadb-client-core rabbitmq-server                      # tests on a real OpenStack
  postgresql                                                                   # tests of state that is kept in a database
)

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
die() { printf 'error: %s\n' "$1" >&2; [ $# -gt 1 ] && printf '  fix: %s\n' "$2" >&2; exit 1; }

need_root() {
  [ "$(id -u)" = 0 ] && return
  command -v sudo >/dev/null || die "this script needs root: it installs packages and starts a private hypervisor" \
    "run it as root, or install sudo and run 'sudo $0'"
  say "root is needed for packages and the private hypervisor; going on with sudo"
  exec sudo --preserve-env=CI,TERM,XDG_CACHE_HOME "$(readlink -f "$0")" "$@"
}

missing_packages() {
  local package
  for package in "${PACKAGES[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

setup_packages() {
  command -v apt-get >/dev/null || die "this set-up knows Debian and Ubuntu only (no apt-get here)" \
    "install the equivalents of: ${PACKAGES[*]}"
  local missing
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} = 0 ] && { say "system packages: all there"; return; }
  say "system packages: installing ${missing[*]}"
  # RUNLEVEL=1: the host's own services are not started; the private hypervisor needs none of them.
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  apt-get -q update >"$STATE/apt.log" 2>&1 || die "apt-get update failed: $(tail -n 3 "$STATE/apt.log")" "check the network"
  apt-get -q -y install --no-install-recommends "${missing[@]}" >>"$STATE/apt.log" 2>&1 ||
    die "apt-get install failed: $(tail -n 5 "$STATE/apt.log")" "see $STATE/apt.log"
}

setup_venv() {
  local python=${PYTHON:-python3} stamp
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or later is needed" \
    "install it and set PYTHON to its path"
  stamp=$(cd "$ROOT" && cat requirements.lock pyproject.toml plugins/*/pyproject.toml | sha256sum; "$python" -V)
  if [ "$(cat "$STATE/venv.stamp" 2>/dev/null)" = "$stamp" ] && "$ROOT/.venv/bin/python" -c 'import provision' 2>/dev/null
  then say "virtual environment: up to date"; return; fi
  [ ! -e "$ROOT/.venv" ] || [ -e "$STATE/venv.stamp" ] || die "$ROOT/.venv was made by something else" \
    "remove it, or run 'pytest', 'ruff', 'mypy' and 'lint-imports' in it yourself"
  say "virtual environment: installing the locked dependencies into .venv"
  echo "not finished" >"$STATE/venv.stamp"
  "$python" -m venv --clear "$ROOT/.venv" || die "cannot make .venv" "install python3-venv, check the disk"
  (
    cd "$ROOT"
    .venv/bin/pip -q install --require-hashes -r requirements.lock
    .venv/bin/pip -q install --no-deps --no-build-isolation -e . -e plugins/aws -e plugins/libvirt -e plugins/openstack
  ) >"$STATE/pip.log" 2>&1 || die "pip failed: $(tail -n 5 "$STATE/pip.log")" "see $STATE/pip.log"
  printf '%s\n' "$stamp" >"$STATE/venv.stamp"
}

setup() {
  need_root "$@"
  mkdir -p "$STATE"
  exec 9>"$STATE/setup.lock"
  flock -n 9 || { say "another set-up runs in this checkout; waiting for it"; flock 9; }
  setup_packages
  setup_venv
  # Where Python is told to keep nothing compiled, as in many containers, each start of a command would compile it all.
  "$ROOT/.venv/bin/python" -m compileall -q "$ROOT/provision" "$ROOT"/plugins/*/provision_*
  say "Pulumi engine, plugins and the micro image"
  provision setup || exit 1
  exec 9>&-
}
