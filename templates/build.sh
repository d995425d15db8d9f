#!/bin/bash
# Builds the image that packwright planned for the folder above. More arguments go to docker build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
arguments=()
{% for secret in secrets %}
[ -z "${ {{- secret -}} +set}" ] || arguments+=(--secret "id={{ secret }},env={{ secret }}")
{% endfor %}
authorities=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
[ ! -e "$authorities" ] || arguments+=(--secret "id=packwright-authorities,src=$authorities")
DOCKER_BUILDKIT=1 exec docker build -f .nixpacks/Dockerfile "${arguments[@]}" \
{% if machine %}
    --platform linux/{{ machine }} \
{% endif %}
{% for argument in arguments %}
    --build-arg {{ argument }} \
{% endfor %}
{% for label in labels %}
    --label {{ label }} \
{% endfor %}
{% for name in names %}
    -t {{ name }} \
{% endfor %}
    "$@" .
