#!/bin/bash
# Starts php-fpm and nginx: start.sh [TEMPLATE]. When one of them ends, or a signal says so, the other one ends too.
# TEMPLATE is a configuration of nginx to fill in, or with --as-is one to use as it stands.
set -u

if [ "${1:-}" = --as-is ]; then
    configuration=$2
else
    configuration=/tmp/nginx.conf
    php /assets/template.php "${1:-/assets/nginx.template.conf}" "$configuration" || exit 1
fi

# What PHP writes to may be a fresh volume of root's.
for folder in storage bootstrap/cache var; do
    if [ -d "/app/$folder" ]; then chmod -R a+rwX "/app/$folder" 2>/dev/null; fi
done
if [ -n "${IS_LARAVEL:-}" ] && [ -z "${APP_KEY:-}" ] && [ ! -e /app/.env ]; then
    echo "APP_KEY is not set: Laravel cannot encrypt; make one with \`php artisan key:generate --show\`" >&2
fi

# nixpacks' own configuration, which many have copied, expects php-fpm on a port.
export PHP_FPM_LISTEN=/tmp/php-fpm.sock
if grep -qE '(127\.0\.0\.1|localhost):9000' "$configuration"; then PHP_FPM_LISTEN=127.0.0.1:9000; fi
listens() {
    if [ "$PHP_FPM_LISTEN" = /tmp/php-fpm.sock ]; then [ -S /tmp/php-fpm.sock ]; else (: </dev/tcp/127.0.0.1/9000) 2>/dev/null; fi
}
# Debian's has its version in its name, Nix's is on the path.
set -- /usr/sbin/php-fpm*
if [ ! -x "$1" ]; then set -- "$(command -v php-fpm)"; fi
rm -f /tmp/php-fpm.sock
"$1" --nodaemonize --fpm-config /assets/php-fpm.conf &
fpm=$!
until listens; do
    kill -0 "$fpm" 2>/dev/null || exit 1
    sleep 0.02
done
foreground=(-g 'daemon off;')
if grep -qE '^[[:space:]]*daemon[[:space:]]' "$configuration"; then foreground=(); fi
nginx -e stderr "${foreground[@]}" -c "$configuration" &
nginx=$!

stopped=
stop() {
    stopped=yes
    # Both finish the requests that they have.
    kill -QUIT "$nginx" "$fpm" 2>/dev/null
}
trap stop TERM INT QUIT
wait -n "$fpm" "$nginx"
code=$?
kill -QUIT "$nginx" "$fpm" 2>/dev/null
while kill -0 "$nginx" 2>/dev/null || kill -0 "$fpm" 2>/dev/null; do wait; done
if [ -n "$stopped" ]; then exit 0; fi
[ "$code" -ne 0 ] && exit "$code"
exit 1
