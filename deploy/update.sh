#!/usr/bin/env bash
# Runs on the server, in the folder that ship.sh fills: starts a version beside the one that serves, waits until
# it captions pictures, hands it the traffic and stops the old one when that has finished. If the new one does
# not get ready, the old one serves on and nothing has happened. Safe to repeat after any interruption.
#
#   ./update.sh IMAGE        serve this image
#   ./update.sh --rollback   serve the version before
#   ./update.sh --status     what serves
#   ./update.sh --certificate   take the certificate in $RENEWED_LINEAGE (certbot's --deploy-hook)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

START_SECONDS=${START_SECONDS:-300} # longest a server may take to get ready
DRAIN_SECONDS=${DRAIN_SECONDS:-150} # longest that nginx's old workers may take; its worker_shutdown_timeout
export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-captionbox}

say() { echo "==> $*"; }
fail() { echo "update: $*" >&2; exit 1; }

compose() {
  if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}

# --- what is known --------------------------------------------------------------------------------------

setting() { sed -n "s/^$1=//p" .env 2>/dev/null | tail -n 1; }

set_setting() { # NAME VALUE, whole or not at all
  { grep -v "^$1=" .env 2>/dev/null || true; echo "$1=$2"; } >.env.new
  mv .env.new .env
}

settings_hash() { cat compose.yaml captionbox.env | sha256sum | cut -c 1-16; }

active() { sed -n 's/^ *default \(blue\|green\):3000;$/\1/p' nginx/active.conf 2>/dev/null || true; }

other() { if [ "$1" = blue ]; then echo green; else echo blue; fi; }

upper() { echo "$1" | tr '[:lower:]' '[:upper:]'; }

container() { # SERVICE
  docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
    --filter "label=com.docker.compose.service=$1" | head -n 1
}

look() { # SERVICE FORMAT
  local id
  id=$(container "$1")
  [ -n "$id" ] && docker inspect --format "$2" "$id"
}

runs() { [ "$(look "$1" '{{.State.Running}}' || true)" = true ]; }

# A healthcheck that only asks: this one counts nothing.
ready() { runs "$1" && docker exec "$(container "$1")" python3 -I -S /app/healthcheck.py --ask; }

# --- steps ----------------------------------------------------------------------------------------------

make_active() { # SERVICE; nginx takes it at its next reload
  cat >nginx/active.conf.new <<EOT
# Written by update.sh. \`resolver\` is Docker's own, which knows the servers by name.
resolver 127.0.0.11 valid=2s ipv6=off;
map "" \$captionbox {
    default $1:3000;
}
EOT
  mv nginx/active.conf.new nginx/active.conf
  set_setting COMPOSE_PROFILES "$1"
}

reload_nginx() {
  if runs nginx; then
    local id
    id=$(container nginx)
    docker exec "$id" nginx -q -t -c /etc/nginx/captionbox/nginx.conf &&
      docker exec "$id" nginx -c /etc/nginx/captionbox/nginx.conf -s reload
  else
    compose up -d --no-deps nginx && sleep 1 && runs nginx
  fi
}

# The way that everybody's requests take, asked from inside.
answers_through_nginx() { # SERVICE
  local end=$((SECONDS + 30))
  while [ "$SECONDS" -lt "$end" ]; do
    docker exec "$(container "$1")" python3 -I -c '
import ssl, urllib.request
context = ssl._create_unverified_context()
urllib.request.urlopen("https://nginx/readyz", context=context, timeout=10)' 2>/dev/null && return 0
    sleep 1
  done
  return 1
}

wait_ready() { # SERVICE
  local end=$((SECONDS + START_SECONDS))
  until ready "$1"; do
    if [ "$(look "$1" '{{.RestartCount}}' || echo 9)" -ge 2 ]; then
      say "$1 ends again and again"
      return 1
    fi
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 1
  done
}

# A request that an old worker of nginx is still reading will go to the old server.
wait_for_old_workers() {
  local end=$((SECONDS + DRAIN_SECONDS))
  while docker top "$(container nginx)" -eo pid,args | grep -q 'shutting down'; do
    [ "$SECONDS" -lt "$end" ] || return 0
    sleep 0.5
  done
}

stop_server() { # SERVICE: it finishes what is in progress
  if runs "$1"; then
    say "stopping $1"
    compose stop -t 30 "$1"
  fi
}

prepare() {
  mkdir -p acme secrets nginx/certs
  touch .env
  [ -f captionbox.env ] || touch captionbox.env
  [ -s secrets/api_keys ] || fail "secrets/api_keys names no key: see docs/keys.md"
  # The server runs as 1034 and reads its keys itself; who may not give files away lets everyone here read it.
  if chown 1034 secrets/api_keys 2>/dev/null; then chmod 400 secrets/api_keys; else chmod 444 secrets/api_keys; fi
  if [ ! -s nginx/certs/fullchain.pem ]; then
    say "no certificate yet: making one that only this machine vouches for"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \
      -subj "/CN=$(hostname)" -keyout nginx/certs/privkey.pem -out nginx/certs/fullchain.pem 2>/dev/null
    chmod 600 nginx/certs/privkey.pem
  fi
}

forget_old_images() {
  local image
  for image in $(docker image ls --format '{{.Repository}}:{{.Tag}}' --filter reference='captionbox:*'); do
    case $image in
      "$(setting BLUE_IMAGE)" | "$(setting GREEN_IMAGE)") ;;
      *) docker image rm "$image" >/dev/null && say "forgot $image" ;;
    esac
  done
}

finish() { # SERVICE: it is active; nothing else runs
  wait_for_old_workers
  stop_server "$(other "$1")"
  forget_old_images
  say "$(setting "$(upper "$1")_IMAGE") serves"
}

serve() { # IMAGE
  local image=$1 old new before wanted
  wanted=$(docker image inspect --format '{{.Id}}' "$image") || fail "there is no image $image here"
  old=$(active)
  if [ -n "$old" ] && [ "$(look "$old" '{{.Image}}' || true)" = "$wanted" ] &&
    [ "$(setting "$(upper "$old")_SETTINGS")" = "$(settings_hash)" ] && ready "$old"; then
    say "$image is active already"
    reload_nginx || fail "nginx refuses its configuration"
    finish "$old"
    return
  fi
  new=$(other "${old:-green}")
  before=$(setting "$(upper "$new")_IMAGE")
  set_setting "$(upper "$new")_IMAGE" "$image"
  set_setting "$(upper "$new")_SETTINGS" "$(settings_hash)"
  say "starting $image as $new"
  # With $old ready beside it: whatever happens here, nobody's request does.
  if ! compose up -d --no-deps --force-recreate "$new" || ! wait_ready "$new"; then
    docker logs --tail 20 "$(container "$new")" >&2 || true
    give_up "$old" "$new" "$before" "$image did not get ready"
  fi
  say "$new is ready; switching"
  make_active "$new"
  if ! reload_nginx || ! answers_through_nginx "$new"; then
    give_up "$old" "$new" "$before" "$image does not answer through nginx"
  fi
  finish "$new"
}

give_up() { # OLD NEW IMAGE_BEFORE REASON
  stop_new() {
    stop_server "$2"
    set_setting "$(upper "$2")_IMAGE" "$3"
  }
  if [ -z "$1" ]; then
    stop_new "$@"
    fail "$4"
  fi
  if [ "$(active)" != "$1" ]; then
    make_active "$1"
    reload_nginx || true
    wait_for_old_workers
  fi
  stop_new "$@"
  fail "$4; rolled back, $(setting "$(upper "$1")_IMAGE") serves on"
}

rollback() {
  local old previous
  old=$(active)
  [ -n "$old" ] || fail "nothing serves yet"
  previous=$(setting "$(upper "$(other "$old")")_IMAGE")
  [ -n "$previous" ] || fail "there is no version before"
  serve "$previous"
}

certificate() {
  : "${RENEWED_LINEAGE:?is what certbot sets for its --deploy-hook}"
  cp -L "$RENEWED_LINEAGE/fullchain.pem" "$RENEWED_LINEAGE/privkey.pem" nginx/certs/
  chmod 600 nginx/certs/privkey.pem
  reload_nginx
}

# --- ----------------------------------------------------------------------------------------------------

exec 9>.lock
flock -n 9 || fail "another update is running"
case ${1:-} in
  --rollback) prepare && rollback ;;
  --certificate) certificate ;;
  --status) for one in blue green; do echo "$one $(setting "$(upper "$one")_IMAGE") $(look "$one" '{{.State.Status}}' || true)$([ "$(active)" != "$one" ] || echo ' active')"; done ;;
  "" | -*) sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 2 ;;
  *) prepare && serve "$1" ;;
esac
