# How packages are made: a shell script run by a static busybox, in nothing but the store.
{ system, lib }:
final:
let
  busybox = builtins.path {
    name = "busybox";
    path = ./files/busybox;
  };
  tools = derivation {
    inherit system;
    name = "build-tools";
    builder = "${busybox}/bin/busybox";
    args = [
      "sh"
      "-ec"
      ''
        ${busybox}/bin/busybox mkdir -p $out/bin
        for applet in $(${busybox}/bin/busybox --list); do
            ${busybox}/bin/busybox ln -s ${busybox}/bin/busybox $out/bin/$applet
        done
      ''
    ];
  };
  # An output is the package again, narrowed to that output, as in nixpkgs.
  package =
    arguments: script:
    let
      outputs = arguments.outputs or [ "out" ];
      attributes = builtins.removeAttrs arguments [
        "meta"
        "passthru"
        "pname"
        "version"
      ];
      name = arguments.name or "${arguments.pname}-${arguments.version}";
      drv = derivation (
        attributes
        // {
          inherit name system;
          builder = "${tools}/bin/sh";
          args = [
            "-ec"
            ''
              export PATH=${tools}/bin HOME=/homeless
              ${script}
            ''
          ];
        }
      );
      common = {
        inherit (arguments) pname version;
        meta = {
          outputsToInstall = [ (builtins.head outputs) ];
        } // arguments.meta or { };
      };
      shared =
        (if arguments ? pname then common else { meta = arguments.meta or { }; })
        // arguments.passthru or { }
        // builtins.listToAttrs (
          map (output: {
            name = output;
            value = drv.${output} // shared // { outputSpecified = true; };
          }) outputs
        );
    in
    drv // shared;
in
{
  inherit package;

  # The applets of busybox that a package of GNU's has, under its name.
  applets =
    pname: names:
    package
      {
        inherit pname;
        version = builtins.replaceStrings [ "\n" ] [ "" ] (builtins.readFile ./files/busybox/version);
      }
      ''
        mkdir -p $out/bin
        for applet in ${builtins.concatStringsSep " " names}; do
            if [ -e ${tools}/bin/$applet ]; then ln -s ${busybox}/bin/busybox $out/bin/$applet; fi
        done
      '';

  runCommand =
    name: env: script:
    package (env // { inherit name; }) script;

  writeText =
    name: text:
    package {
      inherit name text;
      passAsFile = [ "text" ];
    } ''cp "$textPath" $out'';

  symlinkJoin =
    { name, paths, ... }@arguments:
    final.buildEnv { inherit name paths; postBuild = arguments.postBuild or ""; };

  buildEnv =
    {
      name,
      paths,
      pathsToLink ? [ "/" ],
      ignoreCollisions ? false,
      extraOutputsToInstall ? [ ],
      postBuild ? "",
      ...
    }:
    let
      outputsOf =
        path:
        let
          wanted = path.meta.outputsToInstall or [ ];
          extra = builtins.filter (output: path ? ${output}) extraOutputsToInstall;
        in
        if path.outputSpecified or false || wanted == [ ] then
          [ path ]
        else
          map (output: path.${output}) (wanted ++ extra);
    in
    package
      {
        inherit name pathsToLink;
        paths = builtins.concatMap outputsOf paths;
        collisions = if ignoreCollisions then "ignore" else "";
      }
      ''
        # Two folders of one name become one; of two files the first stays, if that is allowed.
        link() {
            if [ ! -e "$2" ] && [ ! -L "$2" ]; then
                ln -s "$1" "$2"
            elif [ -d "$1" ] && [ -d "$2" ]; then
                if [ -L "$2" ]; then
                    old=$(readlink "$2")
                    rm "$2"
                    mkdir "$2"
                    link_all "$old" "$2"
                fi
                link_all "$1" "$2"
            elif [ -z "$collisions" ] && [ "$(readlink -f "$1")" != "$(readlink -f "$2")" ]; then
                echo "error: collision between $1 and $2" >&2
                exit 1
            fi
        }
        link_all() {
            local inside
            for inside in "$1"/* "$1"/.[!.]*; do
                if [ -e "$inside" ] || [ -L "$inside" ]; then link "$inside" "$2/''${inside##*/}"; fi
            done
        }
        mkdir -p $out
        for path in $paths; do
            for folder in $pathsToLink; do
                if [ "$folder" = / ]; then
                    link_all "$path" $out
                elif [ -e "$path$folder" ]; then
                    mkdir -p "$out''${folder%/*}"
                    link "$path$folder" "$out$folder"
                fi
            done
        done
        ${postBuild}
      '';

  callPackage =
    given: overrides:
    let
      function = if builtins.isFunction given then given else import given;
      wanted = builtins.intersectAttrs (builtins.functionArgs function) final;
    in
    function (wanted // overrides);
}
