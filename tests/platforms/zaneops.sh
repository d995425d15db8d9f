#!/bin/bash
# ZaneOps: a plan without -f, a build from it into the folder, a name for the first stage, files copied from that.
. "$(dirname "$0")/common.sh"

nixpacks plan --env GREETING=zane "$APP" >"$APP/plan.json" 2>/dev/null
python3 -c 'import json, sys; json.load(open(sys.argv[1]))["variables"]["GREETING"]' "$APP/plan.json"
nixpacks build --config plan.json --no-error-without-start --out "$APP" "$APP" >/dev/null 2>&1
file=$APP/.nixpacks/Dockerfile
[[ $(head -1 "$file") =~ ^FROM\ [^\ ]+$ ]] || fail "line 1 is $(head -1 "$file")"
sed -i '1s/$/ AS builder/' "$file"
printf 'FROM scratch\nCOPY --from=builder /app/start.sh /srv/start.sh\nCOPY --from=builder /bin /bin\nCMD ["/bin/x"]\n' >>"$file"
build "$file" --label zane=1 -t "$NAME" "$APP"
container=$("$docker" create --network host "$NAME")
"$docker" cp "$container:/srv/start.sh" "$APP/copied"
"$docker" rm "$container" >/dev/null
cmp "$APP/start.sh" "$APP/copied"
