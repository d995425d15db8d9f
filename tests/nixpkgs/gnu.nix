# The set with GNU's own tools in the place of busybox' applets, as in nixpkgs.
{ overlays ? [ ], ... }@arguments:
import ./default.nix (arguments // { overlays = [ (final: previous: previous.gnu) ] ++ overlays; })
