# Real programs of Debian, npm and Go, patched to find each other in the store.
{ lib }:
final:
let
  inherit (final) package applets;
  source =
    name:
    builtins.path {
      inherit name;
      path = ./files + "/${name}";
    };
  version = name: builtins.replaceStrings [ "\n" ] [ "" ] (builtins.readFile (./files + "/${name}/version"));

  # Debian's patchelf, started by the set's own loader, since nothing else is there.
  patchelf = "${final.glibc}/lib/ld-linux-* --library-path ${final.glibc}/lib:${source "gcc"}/usr/lib/$(ls ${source "gcc"}/usr/lib | grep linux-gnu):${
    source "gcc"
  }/lib/$(ls ${source "gcc"}/lib 2>/dev/null | grep linux-gnu) ${source "patchelf"}/usr/bin/patchelf";

  # Shell functions: `libraries SOURCE` copies a package's libraries, `patch FOLDER LIBRARIES` makes programs and
  # libraries find the loader and other libraries by their paths in the store.
  functions = ''
    loader=$(echo ${final.glibc}/lib/ld-linux-*)
    libraries() {
        mkdir -p $out/lib
        find $1 -path '*-linux-gnu/*.so*' -maxdepth 5 | xargs -I{} cp -d {} $out/lib
        chmod -R u+w $out
    }
    is_elf() { [ "$(head -c 4 "$1" | tail -c 3)" = ELF ]; }
    patch() {
        find $1 -type f | while read -r file; do
            is_elf "$file" || continue
            # Libraries have no interpreter.
            ${patchelf} --set-rpath "$2" --set-interpreter $loader "$file" 2>/dev/null ||
                ${patchelf} --set-rpath "$2" "$file"
        done
    }
  '';
  pathOf = packages: lib.makeLibraryPath ([ final.glibc ] ++ packages);

  phpLibraries = package {
    pname = "php-libraries";
    version = version "php";
  } ''
    ${functions}
    libraries ${source "php"}
    patch $out/lib ${pathOf [ final.openssl final.stdenv.cc.cc.lib final.zlib ]}:$out/lib
  '';
  phpBare = package {
    pname = "php";
    version = version "php";
  } ''
    ${functions}
    mkdir -p $out/bin $out/lib/extensions
    cp ${source "php"}/usr/bin/php[0-9]* $out/bin/php
    cp ${source "php"}/usr/sbin/php-fpm* $out/bin/php-fpm
    cp ${source "php"}/usr/lib/php/*/*.so $out/lib/extensions
    chmod -R u+w $out
    patch $out ${pathOf [ final.libffi final.openssl final.stdenv.cc.cc.lib final.zlib phpLibraries ]}
  '';
  phpExtensions = builtins.listToAttrs (
    map
      (name: {
        inherit name;
        value = package {
          pname = "php-${name}";
          version = version "php";
        } "mkdir -p $out/lib; ln -s ${phpBare}/lib/extensions/${name}.so $out/lib/${name}.so";
      })
      [
        "ctype"
        "ffi"
        "intl"
        "mbstring"
        "phar"
        "shmop"
        "tokenizer"
      ]
  );
  phpWith =
    choose:
    let
      chosen = choose phpExtensions;
      php = package {
        pname = "php-with-extensions";
        version = version "php";
        passthru = {
          extensions = phpExtensions;
          withExtensions = more: phpWith (all: more { inherit all; enabled = choose all; });
          packages.composer = package {
            pname = "composer";
            version = version "composer";
          } ''
            mkdir -p $out/bin $out/libexec $out/share
            cp ${source "composer"}/usr/bin/composer $out/libexec/composer
            cp -R ${source "composer"}/usr/share/php $out/share/php
            printf '#!%s/bin/sh\nexec %s/bin/php -d include_path=%s/share/php %s/libexec/composer "$@"\n' \
                ${final.bash} ${php} $out $out >$out/bin/composer
            chmod +x $out/bin/composer
          '';
        };
      } ''
        mkdir -p $out/bin $out/lib
        for extension in ${builtins.concatStringsSep " " (map (extension: "${extension}/lib/*.so") chosen)}; do
            echo "extension=$extension" >>$out/lib/php.ini
        done
        for name in php php-fpm; do
            printf '#!%s/bin/sh\nexport PHP_INI_SCAN_DIR=''${PHP_INI_SCAN_DIR-%s/lib}\nexec %s/bin/%s "$@"\n' \
                ${final.bash} $out ${phpBare} $name >$out/bin/$name
            chmod +x $out/bin/$name
        done
      '';
    in
    php;

  library =
    pname: needs:
    package {
      inherit pname;
      version = version pname;
    } ''
      ${functions}
      libraries ${source pname}
      patch $out/lib ${pathOf needs}
    '';
in
{
  inherit (builtins) currentSystem;

  glibc = package {
    pname = "glibc";
    version = version "glibc";
  } ''
    mkdir -p $out/lib
    find ${source "glibc"} -path '*-linux-gnu/*.so*' -maxdepth 4 | xargs -I{} cp -d {} $out/lib
    if [ ! -e "$(echo $out/lib/ld-linux-*)" ]; then cp -L ${source "glibc"}/lib*/ld-linux-* $out/lib; fi
  '';

  stdenv = {
    cc = {
      cc = {
        lib = package {
          pname = "gcc-lib";
          version = version "gcc";
        } ''
          ${functions}
          libraries ${source "gcc"}
          rm -rf $out/lib/*.py
          patch $out/lib ${pathOf [ ]}:$out/lib
        '';
      };
      libc = final.glibc;
    };
  };

  bzip2 = library "bzip2" [ ];
  expat = library "expat" [ ];
  libffi = library "libffi" [ ];
  ncurses = library "ncurses" [ ];
  openssl = library "openssl" [ ];
  sqlite = library "sqlite" [ final.zlib ];
  libuuid = library "uuid" [ ];
  xz = library "xz" [ ];

  # With its headers in an output of their own, as in nixpkgs.
  zlib = package {
    pname = "zlib";
    version = version "zlib";
    outputs = [
      "out"
      "dev"
    ];
  } ''
    ${functions}
    libraries ${source "zlib"}
    rm -f $out/lib/libz.so
    patch $out/lib ${pathOf [ ]}
    mkdir -p $dev/lib/pkgconfig
    cp -R ${source "zlib"}/usr/include $dev/include
    ln -s $out/lib/libz.so.1 $dev/lib/libz.so
    sed "s|^prefix=.*|prefix=$dev|; s|^libdir=.*|libdir=$out/lib|; s|^includedir=.*|includedir=$dev/include|" \
        ${source "zlib"}/usr/lib/*/pkgconfig/zlib.pc >$dev/lib/pkgconfig/zlib.pc
  '';

  bash = package {
    pname = "bash";
    version = version "bash";
  } ''
    ${functions}
    mkdir -p $out/bin
    cp $(ls -d ${source "bash"}/bin/bash ${source "bash"}/usr/bin/bash 2>/dev/null) $out/bin/bash
    chmod -R u+w $out
    ln -s bash $out/bin/sh
    patch $out/bin ${pathOf [ final.ncurses ]}
  '';
  bashInteractive = final.bash;

  coreutils = applets "coreutils" [
    "base64" "basename" "cat" "chgrp" "chmod" "chown" "comm" "cp" "cut" "date" "dd" "df" "dirname" "du" "echo" "env"
    "expand" "expr" "false" "fold" "head" "hostid" "id" "install" "link" "ln" "ls" "md5sum" "mkdir" "mkfifo" "mknod"
    "mktemp" "mv" "nice" "nl" "nohup" "nproc" "od" "paste" "printf" "pwd" "readlink" "realpath" "rm" "rmdir" "seq"
    "sha1sum" "sha256sum" "sha512sum" "shred" "shuf" "sleep" "sort" "split" "stat" "stty" "sum" "sync" "tac" "tail"
    "tee" "test" "timeout" "touch" "tr" "true" "truncate" "tsort" "tty" "uname" "unexpand" "uniq" "unlink" "wc" "who"
    "whoami" "yes"
  ];
  diffutils = applets "diffutils" [ "cmp" "diff" ];
  findutils = applets "findutils" [ "find" "xargs" ];
  gawk = applets "gawk" [ "awk" ];
  gnugrep = applets "gnugrep" [ "egrep" "fgrep" "grep" ];
  gnused = applets "gnused" [ "sed" ];
  gnutar = applets "gnutar" [ "tar" ];
  gzip = applets "gzip" [ "gunzip" "gzip" "zcat" ];
  procps = applets "procps" [ "free" "pgrep" "pkill" "ps" "top" "uptime" "watch" ];
  which = applets "which" [ "which" ];

  # GNU's tools, for gnu.nix.
  gnu =
    let
      tools = package {
        pname = "gnu-tools";
        version = version "gnu";
      } ''
        ${functions}
        libraries ${source "gnu"}
        mkdir -p $out/bin
        for folder in ${source "gnu"}/bin ${source "gnu"}/usr/bin; do
            if [ -d $folder ]; then cp -R $folder/. $out/bin; fi
        done
        chmod -R u+w $out
        patch $out ${pathOf [ final.openssl ]}:$out/lib
      '';
    in
    {
      coreutils = tools;
      findutils = tools;
      gnugrep = tools;
      gnused = tools;
      gnutar = tools;
    };

  cacert = package {
    pname = "nss-cacert";
    version = version "cacert";
  } ''
    mkdir -p $out/etc/ssl/certs
    cp ${source "cacert"}/certificates/ca-bundle.crt $out/etc/ssl/certs/ca-bundle.crt
  '';

  nodejs_22 = package {
    pname = "nodejs";
    version = version "node";
  } ''
    ${functions}
    mkdir -p $out/bin $out/lib/node_modules
    cp ${source "node"}/bin/node $out/bin/node
    cp -R ${source "npm"} $out/lib/node_modules/npm
    chmod -R u+w $out
    patch $out/bin ${pathOf [ final.stdenv.cc.cc.lib ]}
    rm $out/lib/node_modules/npm/version
    for name in npm npx; do
        sed -i "1s|.*|#!$out/bin/node|" $out/lib/node_modules/npm/bin/$name-cli.js
        chmod +x $out/lib/node_modules/npm/bin/$name-cli.js
        ln -s ../lib/node_modules/npm/bin/$name-cli.js $out/bin/$name
    done
  '';
  nodejs = final.nodejs_22;

  # Static programs: they run as they are.
  go_1_24 = {
    type = "derivation";
    pname = "go";
    version = version "go";
    name = "go-${version "go"}";
    outPath = source "go";
    meta = { };
  };
  go = final.go_1_24;

  ${"python3" + builtins.elemAt (builtins.splitVersion (version "python")) 1} = package {
    pname = "python3";
    version = version "python";
  } ''
    ${functions}
    mkdir -p $out/bin $out/share
    cp ${source "python"}/usr/bin/python3.* $out/bin
    cp -R ${source "python"}/usr/lib $out/lib
    cp -R ${source "python"}/usr/share/python-wheels $out/share/python-wheels
    chmod -R u+w $out
    minor=$(cd $out/lib && echo python3.*)
    ln -s $minor $out/bin/python3
    ln -s $minor $out/bin/python
    patch $out ${
      pathOf [
        final.bzip2
        final.expat
        final.libffi
        final.libuuid
        final.openssl
        final.sqlite
        final.xz
        final.zlib
      ]
    }
    grep -rls /usr/share/python-wheels $out/lib/$minor | xargs sed -i "s|/usr/share/python-wheels|$out/share/python-wheels|"
    # Compiled for Debian's folders, and with times.
    find $out -name __pycache__ -type d | xargs rm -rf
  '';
  python3 = final.${"python3" + builtins.elemAt (builtins.splitVersion (version "python")) 1};

  tzdata = package {
    pname = "tzdata";
    version = version "tzdata";
  } "mkdir -p $out/share; cp -R ${source "tzdata"}/usr/share/zoneinfo $out/share/zoneinfo";

  nginx = package {
    pname = "nginx";
    version = version "nginx";
  } ''
    ${functions}
    mkdir -p $out/bin $out/conf
    cp ${source "nginx"}/usr/sbin/nginx $out/bin
    cp ${source "nginx"}/etc/nginx/mime.types ${source "nginx"}/etc/nginx/fastcgi_params $out/conf
    chmod -R u+w $out
    patch $out/bin ${pathOf [ final.openssl final.zlib phpLibraries ]}
  '';

  # As in nixpkgs: extensions are packages, and which of them a PHP loads is in a file that its programs name.
  ${"php" + builtins.replaceStrings [ "." ] [ "" ] (lib.majorMinor (version "php"))} = phpWith (all: [
    all.ctype
    all.mbstring
    all.phar
    all.tokenizer
  ]);
  php = final.${"php" + builtins.replaceStrings [ "." ] [ "" ] (lib.majorMinor (version "php"))};

  # Fails, for the tests of failures.
  broken = package {
    pname = "broken";
    version = "1";
  } ''
    echo "the reason of the failure"
    exit 3
  '';
}
