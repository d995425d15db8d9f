# The environment of one plan, as packwright wrote it. Nix 2.8 and newer evaluate it alike.
let
  system = {{ system }};

  # A package, a list of packages, or a function of the set that gives one of these.
  given =
    set: value:
    if builtins.isFunction value then
      given set (if builtins.functionArgs value == { } then value set else set.callPackage value { })
    else if builtins.isList value then
      value
    else
      [ value ];

  # Several nixpkgs may be named.
{% for set in sets %}
  set{{ loop.index0 }} = {{ set }};
{% endfor %}

  # What programs expect outside the store, of packages that have it elsewhere.
  outside = {
    chromium."usr/bin/chromium" = "bin/chromium";
    nginx."etc/nginx" = "conf";
    tzdata."usr/share/zoneinfo" = "share/zoneinfo";
  };

  environment =
    name: folders: packages: libraries: variables:
    let
      # What the root outside the store needs to know; by naming them it keeps them in the closure.
      notes = set0.writeText "packwright-${name}.json" (
        builtins.toJSON {
          path = set0.lib.makeBinPath packages;
          libraryPath = set0.lib.makeLibraryPath (libraries ++ [ set0.stdenv.cc.cc.lib set0.zlib ]);
          shell = "${set0.bash}/bin";
          tools = "${set0.coreutils}/bin";
          loader = "${set0.glibc}/lib";
          certificates = "${set0.cacert}/etc/ssl/certs/ca-bundle.crt";
          inherit variables;
          links = builtins.foldl' (
            links: package: links // builtins.mapAttrs (_: inside: "${package}/${inside}") (outside.${package.pname or ""} or { })
          ) { } packages;
        }
      );
    in
    set0.buildEnv {
      name = "packwright-${name}";
      # Of two files of one name the first stays: what is asked for comes before what is always there.
      paths = packages;
      pathsToLink = folders;
      ignoreCollisions = true;
      postBuild = "ln -s ${notes} $out/packwright.json";
    };
in
{
  # What phases stand on.
  build =
    environment "build"
      [ "/bin" "/etc" "/include" "/lib" "/libexec" "/sbin" "/share" ]
      ([
{% for package in build %}
        {{ package }}
{% endfor %}
      ]{% for package in build_given %}
 ++ {{ package }}{% endfor %})
      [
{% for package in build_libraries %}
        {{ package }}
{% endfor %}
      ]
      { {{ build_variables }} };

  # What the image is made of.
  run =
    environment "run"
      [ "/bin" "/etc" "/lib" "/libexec" "/sbin" "/share/fonts" "/share/zoneinfo" ]
      ([
{% for package in run %}
        {{ package }}
{% endfor %}
      ]{% for package in run_given %}
 ++ {{ package }}{% endfor %})
      [
{% for package in run_libraries %}
        {{ package }}
{% endfor %}
      ]
      { {{ run_variables }} };
}
