#!/usr/bin/env bash
# From this machine to a server: build the image, send it, and have the server change over to it without losing a
# request. Safe to repeat after any interruption: what has arrived is not sent again.
#
#   deploy/ship.sh USER@HOST [--image NAME:TAG] [--models A,B] [--matcher M] [--dry-run]
#   deploy/ship.sh USER@HOST --rollback | --status
#
# --image    send this image instead of building one
# --dry-run  say what would be done, and do nothing
#
# The server needs docker, docker-compose (or docker compose), rsync, zstd and openssl. `SSH_OPTIONS` is given to
# ssh; better, put what it needs into ~/.ssh/config. deploy/captionbox.env (settings) and deploy/secrets/api_keys
# (who may use it) are sent along where they are there; the server keeps its own otherwise.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

NGINX_IMAGE=nginx:stable
REMOTE=${REMOTE:-/opt/captionbox}
PYTHON=${PYTHON:-.venv/bin/python}
SHIP=build/ship
SSH="ssh ${SSH_OPTIONS:-} -o BatchMode=yes -o ServerAliveInterval=15"

host='' image='' models=compact matcher='' dry='' action=''

say() { echo "==> $*"; }
fail() { echo "ship: $*" >&2; exit 1; }
usage() { sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2; }

while [ $# -gt 0 ]; do
  case $1 in
    --image) image=${2:?} && shift ;;
    --models) models=${2:?} && shift ;;
    --matcher) matcher=${2:?} && shift ;;
    --dry-run) dry=yes ;;
    --rollback | --status) action=$1 ;;
    -*) usage ;;
    *) if [ -n "$host" ]; then usage; else host=$1; fi ;;
  esac
  shift
done
[ -n "$host" ] || usage

# shellcheck disable=SC2086 # options are several words
remote() { $SSH "$host" "$@"; }

step() { # WHAT COMMAND…: says it, and does it unless this is a dry run
  say "$1"
  shift
  if [ -n "$dry" ]; then echo "    $*"; else "$@"; fi
}

identity() { docker image inspect --format '{{.Id}}' "$1"; }

# --- here -----------------------------------------------------------------------------------------------

check_here() {
  local tool
  for tool in docker rsync ssh zstd sha256sum; do
    command -v "$tool" >/dev/null || fail "this machine lacks $tool"
  done
}

build() {
  local options=(--models "$models")
  [ -z "$matcher" ] || options+=(--matcher "$matcher")
  [ -n "$image" ] || image=$("$PYTHON" -m deploy.image "${options[@]}" --print-tag)
  if docker image inspect "$image" >/dev/null 2>&1 && [[ $image != *-dirty ]]; then
    say "$image is built"
  else
    "$PYTHON" -m deploy.image --tag "$image" "${options[@]}"
  fi
}

save() { # IMAGE NAME: the archive and its checksum, once for each image
  local file=$SHIP/$2.tar.zst id
  id=$(identity "$1") || fail "there is no image $1 here"
  mkdir -p "$SHIP"
  if [ "$(cat "$file.id" 2>/dev/null || true)" != "$id $1" ]; then
    rm -f "$file.id"
    docker save "$1" | zstd -q -T0 -6 --rsyncable -o "$file.part" -f
    mv "$file.part" "$file"
    (cd "$SHIP" && sha256sum "$2.tar.zst" >"$2.tar.zst.sha256")
    echo "$id $1" >"$file.id"
  fi
  say "$1: $(($(stat -c %s "$file") / 1000000)) MB to send"
}

make_keys() {
  [ -s deploy/secrets/api_keys ] && return
  say "no API keys yet: making one. Keep it; it is stored nowhere:"
  mkdir -p deploy/secrets
  local output
  output=$("$PYTHON" -m serving.keys new owner)
  sed -n '2p' <<<"$output"
  (umask 077 && sed -n 's/^ *\(owner:[0-9a-f]*\)$/\1/p' <<<"$output" >deploy/secrets/api_keys)
  [ -s deploy/secrets/api_keys ] || fail "no key could be made"
}

# --- there ----------------------------------------------------------------------------------------------

check_there() {
  local found
  # shellcheck disable=SC2016 # for the other shell
  found=$(remote 'set -e
    for tool in docker rsync zstd openssl; do command -v $tool >/dev/null || echo "lacks $tool"; done
    docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || echo "lacks docker-compose"
    docker info >/dev/null 2>&1 || echo "has no docker that $(id -un) may use"
    mkdir -p '"$REMOTE"'/images') || fail "cannot log in to $host, or not make $REMOTE there"
  [ -z "$found" ] || fail "the server ${found//$'\n'/, }"
  local here there
  here=$(docker image inspect --format '{{.Architecture}}' "$image")
  there=$(remote "docker version --format '{{.Server.Arch}}'")
  [ "$here" = "$there" ] || fail "$image is for $here, the server is $there: build it on such a machine"
}

send_image() { # IMAGE NAME
  local id
  id=$(identity "$1")
  if [ "$(remote "docker image inspect --format '{{.Id}}' $1 2>/dev/null || true")" = "$id" ]; then
    say "the server has $1"
    return
  fi
  # The archive of the version before lies there, so only what differs travels; what a break left, too.
  rsync -e "$SSH" --inplace --partial --times "$SHIP/$2.tar.zst" "$SHIP/$2.tar.zst.sha256" \
    "$host:$REMOTE/images/"
  remote "cd $REMOTE/images && sha256sum --check --quiet $2.tar.zst.sha256 && zstd -dc $2.tar.zst | docker load -q"
}

send_files() {
  local folder=$SHIP/files
  rm -rf "$folder" && mkdir -p "$folder/nginx"
  cp deploy/compose.yaml deploy/update.sh "$folder/"
  cp deploy/nginx/*.conf "$folder/nginx/"
  rm -f "$folder/nginx/active.conf"
  if [ -f deploy/captionbox.env ]; then
    cp deploy/captionbox.env "$folder/"
    "$PYTHON" -m deploy.nginx_conf "$folder/nginx" deploy/captionbox.env
  fi
  if [ -s deploy/secrets/api_keys ]; then
    mkdir "$folder/secrets" && cp deploy/secrets/api_keys "$folder/secrets/"
  fi
  # In place: a running container sees a file, not a name.
  rsync -e "$SSH" --recursive --inplace --perms --chmod=D755,F644,Fu+w "$folder/" "$host:$REMOTE/"
  remote "chmod 755 $REMOTE/update.sh; chmod -R go= $REMOTE/secrets 2>/dev/null || true"
}

# --- ----------------------------------------------------------------------------------------------------

if [ -n "$action" ]; then
  step "$action on $host" remote "$REMOTE/update.sh $action"
  exit
fi
if [ -n "$dry" ]; then
  [ -n "$image" ] || image=captionbox:VERSION
else
  check_here
fi
step "building the image" build
step "looking for API keys" make_keys
step "looking at $host" check_there
step "packing $image" save "$image" captionbox
step "getting nginx's image" "$PYTHON" -m deploy.stand_in "$NGINX_IMAGE"
step "packing $NGINX_IMAGE" save "$NGINX_IMAGE" nginx
step "sending $image" send_image "$image" captionbox
step "sending $NGINX_IMAGE" send_image "$NGINX_IMAGE" nginx
step "sending configuration" send_files
step "changing over" remote "$REMOTE/update.sh $image"
