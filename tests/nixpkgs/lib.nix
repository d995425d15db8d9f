# The part of nixpkgs' lib that environments use.
rec {
  getOutput = output: package: if package.outputSpecified or false then package else package.${output} or package.out or package;
  getBin = getOutput "bin";
  getDev = getOutput "dev";
  getLib = getOutput "lib";
  makeSearchPathOutput =
    output: folder: packages:
    builtins.concatStringsSep ":" (map (package: "${getOutput output package}/${folder}") (builtins.filter (package: package != null) packages));
  makeSearchPath =
    folder: packages: builtins.concatStringsSep ":" (map (package: "${package}/${folder}") (builtins.filter (package: package != null) packages));
  makeLibraryPath = makeSearchPathOutput "lib" "lib";
  makeBinPath = makeSearchPathOutput "bin" "bin";
  majorMinor = version: builtins.concatStringsSep "." [ (builtins.elemAt (builtins.splitVersion version) 0) (builtins.elemAt (builtins.splitVersion version) 1) ];
  isDerivation = value: value.type or null == "derivation";
}
