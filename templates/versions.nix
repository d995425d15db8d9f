# Which of some attributes some sets have, and in which versions.
let
  system = {{ system }};

  at =
    set: path:
    builtins.foldl' (
      found: name: if builtins.isAttrs found && found ? ${name} then found.${name} else null
    ) set path;

  # Null for what there is not, false for what refuses to be evaluated (its own words come later).
  version =
    set: path:
    let
      package = at set path;
      text = toString (package.version or (builtins.parseDrvName package.name).version);
      read = builtins.tryEval (
        if package == null then
          null
        else if package.type or null == "derivation" then
          builtins.deepSeq text text
        else
          builtins.attrNames package
      );
    in
    if read.success then read.value else false;
in
[
{% for set in sets %}
  (
    let
      set = {{ set.expression }};
    in
    {
{% for attribute in set.attributes %}
      {{ attribute.name }} = version set [ {{ attribute.path }} ];
{% endfor %}
{% if set.all %}
      "" = builtins.attrNames set;
{% endif %}
    }
  )
{% endfor %}
]
