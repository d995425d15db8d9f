# So that the set can be named as a flake too; packwright imports default.nix either way.
{
  outputs = _: { };
}
