#!/bin/bash
# Dokku: every flag that it knows, then an image of its own on top.
. "$(dirname "$0")/common.sh"

nixpacks build --label org.label-schema.schema-version=1.0 --label com.dokku.app="$NAME" \
    --start-cmd 'bash start.sh' --build-cmd 'touch built' --apt jq --env GREETING=dokku --tag "$NAME:also" \
    --cache-key "$NAME" --platform "linux/$(dpkg --print-architecture)" --docker-host "$DOCKER_HOST" --no-error-without-start \
    --name "$NAME" "$APP" >/dev/null 2>&1
says "$NAME:also" dokku
[ "$("$docker" inspect -f '{{ index .Config.Labels "com.dokku.app" }}' "$NAME")" = "$NAME" ] || fail "labels"
printf 'FROM %s\nRUN printf "#!/bin/bash\\nexec /bin/bash -lc \\"\\$*\\"\\n" > /usr/local/bin/entrypoint && chmod +x /usr/local/bin/entrypoint && test -e /app/built && jq --version\nENTRYPOINT ["/usr/local/bin/entrypoint"]\n' \
    "$NAME" >"$APP/Dockerfile.dokku"
build "$APP/Dockerfile.dokku" -t "$NAME" "$APP"
[ "$("$docker" run --rm --network host "$NAME" 'echo $GREETING')" = dokku ] || fail "the entrypoint of Dokku"
