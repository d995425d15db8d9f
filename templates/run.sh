# Runs one command of a phase with the secrets that are mounted, each in a variable of its name.
authorities=/run/packwright/ca-certificates.crt
[ -e "$authorities" ] || authorities=/packwright/authorities.crt
if [ -s "$authorities" ]; then
    for name in {{ authorities | join(" ") }}; do
        [ -n "${!name-}" ] || export "$name=$authorities"
    done
fi
for file in /run/secrets/*; do
    [ -f "$file" ] || continue
    IFS= read -r -d '' value <"$file" || true
    export "${file##*/}=$value"
done
unset authorities name file value
exec /bin/bash -c "$1"
