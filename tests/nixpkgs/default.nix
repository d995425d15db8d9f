# A small package set with the interfaces of nixpkgs, for tests where nixpkgs cannot be had.
#
# Real programs, patched to run from the store alone. What it has means what it means in nixpkgs:
# packages by attribute with `name`, `version` and outputs, `lib`, `buildEnv`, `runCommand`,
# `writeText`, `symlinkJoin`, `callPackage`, overlays as functions of the final and the previous set.
{
  system ? builtins.currentSystem,
  overlays ? [ ],
  config ? { },
}:
let
  lib = import ./lib.nix;
  fix =
    f:
    let
      self = f self;
    in
    self;
  extends =
    overlay: previous: final:
    let
      before = previous final;
    in
    before // overlay final before;
  base =
    final:
    (import ./builders.nix { inherit system lib; } final)
    // (import ./packages.nix { inherit lib; } final)
    // {
      inherit lib system config;
      pkgs = final;
    };
in
fix (builtins.foldl' (previous: overlay: extends overlay previous) base overlays)
