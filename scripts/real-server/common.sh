# Sourced by scripts that measure a real server, with the folder to install it into: goes to the repository's root, installs, and
# sets `root` and `dir`.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
"$root/scripts/real-server/install.sh" "$1"
dir=$(cd "$1" && pwd)

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
